/** The console's beginning: finds out who is there, and shows the pages or asks for a token. */

import { session } from "../common/api.js";
import { replace } from "../common/dom.js";
import { callPage } from "./call_page.js";
import { callsPage } from "./calls_page.js";
import { Feed } from "./feed.js";
import { Layout } from "./layout.js";
import { livePage } from "./live_page.js";
import { loginPage } from "./login.js";
import { numbersPage } from "./numbers_page.js";
import * as router from "./router.js";
import { settingsPage } from "./settings_page.js";
import { failed, nowherePage } from "./states.js";
import { systemPage } from "./system_page.js";

let feed = null;

router.route(/^\/$/, () => livePage(feed));
router.route(/^\/calls$/, ({ url }) => callsPage(url));
router.route(/^\/calls\/([^/]+)$/, ({ url, parts: [id] }) => callPage(id, url, feed));
router.route(/^\/numbers$/, () => numbersPage());
router.route(/^\/settings$/, () => settingsPage());
router.route(/^\/system$/, () => systemPage());
router.route(/(?:)/, nowherePage);

function enter() {
  leave();
  const layout = new Layout();
  feed = new Feed();
  feed.watch({ connection: (state) => layout.connection(state), count: (number) => layout.live(number) });
  replace(document.body, layout.node);
  feed.start();
  router.start(layout.main, (path) => layout.at(path));
}

function leave() {
  router.stop();
  feed?.stop();
  feed = null;
}

function show(found) {
  if (found) {
    enter();
    return;
  }
  leave();
  document.title = "Log in · phone-bridge";
  replace(document.body, loginPage());
}

async function begin() {
  // Addresses of the form /#/calls/ID are taken, too.
  if (/^#\/(?!\/)/.test(location.hash)) history.replaceState(null, "", location.hash.slice(1));
  try {
    await session.load();
    session.watch(show);
    show(session.current);
  } catch (error) {
    replace(document.body, failed(error, begin));
  }
}

begin();
