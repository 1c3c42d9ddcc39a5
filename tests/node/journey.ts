// Compiled against the types that were generated from the document: register, order, wait, ask for the weather.
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const WAIT_MOST = 20_000; // milliseconds

export async function journey(baseUrl: string) {
  const client = createClient<paths>({ baseUrl });

  const email = `${crypto.randomUUID()}@example.com`;
  const registered = await client.POST("/register-user/", { body: { email, name: "Ann" } });
  if (registered.error) throw new Error(registered.error.code);
  const user = registered.data;
  const known = await client.GET("/users/{id}", { params: { path: { id: user.id } } });

  const body = { user_id: user.id, currency: "EUR", lines: [{ sku: "apple", quantity: 2, unit_price: "9.90" }] };
  const placed = await client.POST("/orders/", { body });
  if (placed.error) throw new Error(placed.error.code);
  let order = placed.data;
  const deadline = Date.now() + WAIT_MOST;
  while (order.status !== "confirmed" && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const read = await client.GET("/orders/{id}", { params: { path: { id: order.id } } });
    if (read.error) throw new Error(read.error.code);
    order = read.data;
  }

  const unknown = "01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87";
  const refused = await client.POST("/orders/", { body: { ...body, user_id: unknown } });
  const weather = await client.GET("/weather/{city}", { params: { path: { city: "Reykjavík" } } });
  return {
    email: known.data?.email === email,
    status: order.status,
    total: order.total,
    weather: weather.data?.provider,
    refused: refused.error?.code,
  };
}

// What the document does not have does not compile: these lines would be errors if it did.
export async function mistakes(baseUrl: string) {
  const client = createClient<paths>({ baseUrl });
  // @ts-expect-error a field that is missing
  await client.POST("/register-user/", { body: { name: "Ann" } });
  // @ts-expect-error a price that is a number
  const line: paths["/orders/"]["post"]["requestBody"]["content"]["application/json"]["lines"][0] = { sku: "a", quantity: 1, unit_price: 9.9 };
  // @ts-expect-error a path that is not there
  await client.GET("/customers/{id}", { params: { path: { id: "7" } } });
  return line;
}
