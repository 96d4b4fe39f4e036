/** The pages and the ways between them. The built pages have the same links before any script has run. */

export const LIST_NAMES = ["alerts", "models", "experiments", "twins", "deployments"] as const;
export type ListName = (typeof LIST_NAMES)[number];
export type PageName = "home" | "explorer" | ListName;

export const PAGES: { name: PageName | "graphiql"; href: string; label: string }[] = [
  { name: "home", href: "./", label: "Home" },
  { name: "alerts", href: "alerts", label: "Alerts" },
  { name: "models", href: "models", label: "Models" },
  { name: "experiments", href: "experiments", label: "Experiments" },
  { name: "twins", href: "twins", label: "Twins" },
  { name: "deployments", href: "deployments", label: "Deployments" },
  { name: "explorer", href: "explorer", label: "Lineage" },
  { name: "graphiql", href: "graphql", label: "GraphiQL" },
];
