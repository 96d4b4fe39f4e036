/** The drawing as a file: SVG with its styles inside, or PNG made of it. Nothing leaves the page. */

import graphStyles from "./graph.css?inline";
import { bounds, type Places } from "./layout";

const COLOURS = "page card ink dim line edge accent loop focus pill good busy bad old info none".split(" ");
/** Browsers refuse larger canvases. */
const LARGEST = 8000;

export function asSvg(drawing: SVGSVGElement, places: Places): string {
  const box = bounds(places);
  const copy = drawing.cloneNode(true) as SVGSVGElement;
  const computed = getComputedStyle(document.documentElement);
  const colours = COLOURS.map((name) => `--${name}: ${computed.getPropertyValue(`--${name}`)};`).join(" ");
  copy.removeAttribute("style"); // where it stands on the page
  const style = document.createElementNS("http://www.w3.org/2000/svg", "style");
  style.textContent = `.graph { ${colours} background: var(--page); }\n${graphStyles}`;
  copy.prepend(style);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
  copy.setAttribute("width", String(Math.ceil(box.width)));
  copy.setAttribute("height", String(Math.ceil(box.height)));
  return new XMLSerializer().serializeToString(copy);
}

export async function asPng(drawing: SVGSVGElement, places: Places): Promise<Blob> {
  const { width, height } = bounds(places);
  const scale = Math.min(2, LARGEST / width, LARGEST / height);
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(asSvg(drawing, places))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(width * scale);
  canvas.height = Math.ceil(height * scale);
  canvas.getContext("2d")!.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large.")))),
  );
}
