/** Small pictures, drawn in the colour of the text beside them. They say nothing that words do not say, too. */

import { s } from "./dom.js";

/** Paths on a 24 by 24 ground, drawn with a line of 1.75. */
const PATHS = {
  phone: ["M5 4h4l2 5-2.5 1.5a11 11 0 0 0 5 5L15 13l5 2v4a2 2 0 0 1-2 2A16 16 0 0 1 3 6a2 2 0 0 1 2-2z"],
  hangUp: ["M3 15.5v-2c0-1 .7-1.6 1.6-2a19 19 0 0 1 14.8 0c.9.4 1.6 1 1.6 2v2c0 .8-.6 1.3-1.4 1.2l-3-.5c-.7-.1-1.1-.6-1.1-1.2v-2a13 13 0 0 0-7 0v2c0 .6-.4 1.1-1.1 1.2l-3 .5c-.8.1-1.4-.4-1.4-1.2z"],
  incoming: ["M17 7 7 17", "M15 17H7V9"],
  outgoing: ["M7 17 17 7", "M9 7h8v8"],
  transfer: ["M4 8h13", "m14 4 4 4-4 4", "M20 16H7", "m10 20-4-4 4-4"],
  say: ["M4 5h16v11H9l-5 4z", "M8 9h8", "M8 12h5"],
  keypad: ["M6 5h.01M12 5h.01M18 5h.01M6 11h.01M12 11h.01M18 11h.01M6 17h.01M12 17h.01M18 17h.01M12 21.5h.01"],
  note: ["M5 4h14v10l-5 6H5z", "M14 20v-6h5", "M9 9h6"],
  pause: ["M8 5v14", "M16 5v14"],
  play: ["M7 4.5v15l12-7.5z"],
  record: ["M12 12m-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0"],
  listen: ["M4 14v-2a8 8 0 0 1 16 0v2", "M4 14h3v6H5a1 1 0 0 1-1-1z", "M20 14h-3v6h2a1 1 0 0 0 1-1z"],
  stop: ["M6 6h12v12H6z"],
  search: ["M11 11m-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0", "m20 20-4-4"],
  close: ["m6 6 12 12", "M18 6 6 18"],
  back: ["M19 12H5", "m11 6-6 6 6 6"],
  down: ["M12 4v11", "m7 11 5 5 5-5", "M5 20h14"],
  trash: ["M4 7h16", "M9 7V4h6v3", "M6 7l1 13h10l1-13", "M10 11v5M14 11v5"],
  live: ["M12 12h.01", "M8.5 15.5a5 5 0 0 1 0-7M15.5 8.5a5 5 0 0 1 0 7", "M5.6 18.4a9 9 0 0 1 0-12.8M18.4 5.6a9 9 0 0 1 0 12.8"],
  list: ["M8 6h12M8 12h12M8 18h12", "M4 6h.01M4 12h.01M4 18h.01"],
  hash: ["M5 9h15M4 15h15M10 4 8 20M16 4l-2 16"],
  sliders: ["M4 7h9M17 7h3M4 17h3M11 17h9", "M15 7m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0", "M9 17m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0"],
  pulse: ["M3 12h4l3-8 4 16 3-8h4"],
  mic: ["M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3z", "M5 11a7 7 0 0 0 14 0", "M12 18v3"],
  micOff: ["M9 9v2a3 3 0 0 0 5 2.2M15 10.5V6a3 3 0 0 0-5.8-1", "M5 11a7 7 0 0 0 11.5 5.4M19 11a7 7 0 0 1-.6 2.8", "M12 18v3", "m4 3 16 18"],
  warning: ["M12 4 2.8 20h18.4z", "M12 10v4M12 17h.01"],
  check: ["m5 12.5 4.5 4.5L19 7.5"],
  info: ["M12 12m-9 0a9 9 0 1 0 18 0a9 9 0 1 0-18 0", "M12 11v5M12 8h.01"],
  out: ["M14 4H5v16h9", "M10 12h11", "m17 8 4 4-4 4"],
  more: ["M5 12h.01M12 12h.01M19 12h.01"],
  link: ["M14 5h5v5", "M19 5 10 14", "M17 14v5H5V7h5"],
};

/**
 * A picture by name.
 * @param {keyof typeof PATHS} name
 */
export function icon(name) {
  return s(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    (PATHS[name] ?? []).map((d) => s("path", { d })),
  );
}
