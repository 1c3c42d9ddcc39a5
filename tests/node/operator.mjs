// A person at the operator's page: node operator.mjs CHROMIUM ADDRESS TOKEN, and on standard input what to do, as JSON:
// {"look": [{"path", "until", "pictures"?}]}, {"journey": ["replay" | "discard" | "bulk"]} or {"picture": {"scheme",
// "width", "height", "seconds", "file"}}. Writes what was seen as JSON.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const [program, address, token] = process.argv.slice(2);
const wanted = JSON.parse(readFileSync(0, 'utf8'));
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SEEN = [['light', 1280], ['dark', 1280], ['dark', 390], ['light', 390]];
const seen = { complaints: [], elsewhere: [], violations: [], overflow: [], steps: {} };

const browser = await chromium.launch({
  executablePath: program,
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});

async function opened() {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  page.on('request', (request) => {
    const at = new URL(request.url());
    if (at.protocol !== 'data:' && at.origin !== address) seen.elsewhere.push(at.href);
  });
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && seen.complaints.push(message.text()));
  page.on('pageerror', (error) => seen.complaints.push(String(error)));
  await page.goto(`${address}/operator/?token=${token}`);
  return page;
}

async function look(page, { path, until, pictures }) {
  await page.goto(address + path);
  await page.locator(until).first().waitFor();
  // From the debugger, and not from the page, whose policy lets no script in but its own.
  await page.evaluate(AXE);
  for (const [scheme, width] of SEEN) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    if (pictures) await page.screenshot({ path: `${pictures}-${scheme}-${width}.png`, fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (wide > 0) seen.overflow.push(`${path} ${width}: ${wide} px`);
    const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
    for (const each of violations) {
      seen.violations.push(`${path} ${scheme} ${width} ${each.id}: ${each.nodes.map((node) => node.html).join(' | ')}`);
    }
  }
}

// Tab until what has the focus is what one wants to reach.
async function tabTo(page, what) {
  for (let pressed = 0; pressed < 200; pressed += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate((selector) => document.activeElement.matches(selector), what)) return;
  }
  throw new Error(`the keyboard does not reach ${what}`);
}

const rows = (page) => page.locator('tr[data-letter]');
const said = async (page, words) => {
  await page.locator('#said', { hasText: words }).waitFor();
  return page.locator('#said').textContent();
};

// Filter, show, close, show again, and do it: by Tab, Enter, Escape and letters alone.
async function one(page, verb) {
  const steps = {};
  steps.all = await rows(page).count();
  await tabTo(page, 'input[name="reason"]');
  await page.keyboard.type('no such mailbox');
  await page.keyboard.press('Enter');
  await page.locator('input[name="reason"][value="no such mailbox"]').waitFor();
  steps.filtered = await rows(page).count();
  await tabTo(page, 'tr [data-show]');
  steps.letter = await page.evaluate(() => document.activeElement.closest('[data-letter]').dataset.letter);
  await page.keyboard.press('Enter');
  await page.locator('dialog article.letter').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  steps.back = await page.evaluate(() => document.activeElement.matches('tr [data-show]'));
  await page.keyboard.press('Enter');
  await page.locator('dialog article.letter').waitFor();
  steps.shown = await page.locator('dialog').innerText();
  if (verb === 'replay') {
    await tabTo(page, 'dialog [data-replay] button');
  } else {
    await tabTo(page, 'dialog .confirm summary');
    await page.keyboard.press('Enter');
    await tabTo(page, 'dialog [data-discard] button');
  }
  await page.keyboard.press('Enter');
  steps.said = await said(page, verb === 'replay' ? 'Replayed' : 'Discarded');
  await page.locator('dialog').waitFor({ state: 'detached' });
  steps.left = await rows(page).count();
  steps.focus = await page.evaluate(() => document.activeElement !== document.body);
  return steps;
}

// All that match a filter, on pages that were never shown too.
async function bulk(page) {
  const steps = {};
  await page.goto(`${address}/operator/?reason=template`);
  await page.locator('[data-all]').check();
  steps.picked = await page.locator('[data-picked]').textContent();
  await page.locator('[data-pick-all]').click();
  steps.everything = await page.locator('[data-picked]').textContent();
  await page.locator('[data-do="discard"]').click();
  const dialog = page.locator('dialog');
  steps.asks = await dialog.locator('h1').textContent();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  steps.kept = await rows(page).count();
  await page.locator('[data-do="discard"]').click();
  await dialog.getByRole('button', { name: /^Discard/ }).click();
  steps.said = await said(page, 'Discarded');
  await dialog.waitFor({ state: 'detached' });
  steps.empty = await page.locator('section:has(#desk) .empty').innerText();
  return steps;
}

// For the documents: the page after it was watched for a while.
async function picture(page, { scheme, width, height, seconds, file }) {
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize({ width, height });
  await page.goto(`${address}/operator/`);
  await page.waitForTimeout(seconds * 1000);
  await page.screenshot({ path: file });
}

try {
  const page = await opened();
  for (const each of wanted.look ?? []) await look(page, each);
  for (const verb of wanted.journey ?? []) {
    await page.goto(`${address}/operator/`);
    seen.steps[verb] = await (verb === 'bulk' ? bulk(page) : one(page, verb));
  }
  if (wanted.picture) await picture(page, wanted.picture);
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
