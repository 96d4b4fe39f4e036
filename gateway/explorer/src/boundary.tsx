/** Catches what a page could not draw: says so, and offers the view anew in place of an empty page. */

import { Component, type ComponentChildren } from "preact";

interface Failed {
  error: Error | null;
}

export class Boundary extends Component<{ children: ComponentChildren }, Failed> {
  state: Failed = { error: null };

  static getDerivedStateFromError(error: unknown): Failed {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  componentDidCatch(error: unknown) {
    console.error(error);
  }

  render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <div class="failed" role="alert">
        <h1>This page has failed.</h1>
        <p>It is the page's own mistake; nothing was changed in the database. <code>{error.message}</code></p>
        <p>
          <button onClick={() => this.setState({ error: null })}>Show this view anew</button>{" "}
          <a href={location.pathname} onClick={(event) => { event.preventDefault(); location.hash = ""; this.setState({ error: null }); }}>Start over</a>
        </p>
      </div>
    );
  }
}
