/** The pages: which one is asked for, and what holds if it fails. */

import { render } from "preact";
import { Boundary } from "./boundary";
import { Explorer } from "./explorer";
import { Home } from "./home";
import "./page.css";

const Page = location.pathname.endsWith("/explorer") ? Explorer : Home;
render(<Boundary><Page /></Boundary>, document.getElementById("console")!);
