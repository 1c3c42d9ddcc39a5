// A person at the page of the API: node sign-in.mjs CHROMIUM ADDRESS NAME PASSWORD. Signs in there, tries an operation,
// and writes what was seen as JSON.
import { chromium } from 'playwright-core';

const [program, address, name, password] = process.argv.slice(2);
const seen = { before: [], complaints: [], status: null, body: null };

const browser = await chromium.launch({
  executablePath: program,
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
});
try {
  const context = await browser.newContext();
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const origins = new Set();
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  page.on('console', (message) => message.type() === 'error' && seen.complaints.push(message.text()));
  page.on('pageerror', (error) => seen.complaints.push(String(error)));

  await page.goto(`${address}/docs`);
  await page.locator('.auth-wrapper .authorize').click();
  seen.before = [...origins].filter((origin) => !origin.startsWith('data') && origin !== 'null');

  const dialog = page.locator('.modal-ux');
  const offered = dialog.locator('.auth-container', { hasText: 'signIn' });
  const opened = context.waitForEvent('page');
  await offered.getByRole('button', { name: 'Apply given OAuth2 credentials' }).click();
  const window = await opened;
  await window.locator('#username').fill(name);
  await window.locator('#password').fill(password);
  const closed = window.waitForEvent('close');
  await window.locator('#kc-login').click();
  await closed;
  await offered.getByRole('button', { name: 'Remove authorization' }).waitFor();
  await dialog.getByRole('button', { name: 'Close' }).last().click();

  const operation = page.locator('#operations-orders-listOrders');
  await operation.locator('.opblock-summary').click();
  await operation.getByRole('button', { name: 'Try it out' }).click();
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname === '/orders/');
  await operation.getByRole('button', { name: 'Execute' }).click();
  const answer = await answered;
  seen.status = answer.status();
  seen.body = await answer.json();
  await operation.locator('.live-responses-table').waitFor();
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
