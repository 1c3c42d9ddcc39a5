// Reads {document, samples} from standard input: an AsyncAPI document and messages {type, headers, payload}. Writes what
// the reference parser thinks of the document, and where an example or a sample does not fit its schemas, as JSON.
import { text } from "node:stream/consumers";
import { Parser } from "@asyncapi/parser";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const given = JSON.parse(await text(process.stdin));
const { document, diagnostics } = await new Parser().parse(JSON.stringify(given.document));
const ajv = addFormats(new Ajv({ allErrors: true, strictTypes: false }));
const messages = document ? document.messages().all() : [];

function misfits(message, { headers, payload }) {
  const schemas = { headers: [message.headers(), headers], payload: [message.payload(), payload] };
  return Object.entries(schemas).flatMap(([part, [schema, value]]) => {
    const fits = ajv.compile(plain(schema.json()));
    if (value === undefined || fits(value)) return [];
    return fits.errors.map((error) => `${message.name()} ${part}${error.instancePath} ${error.message}`);
  });
}

// Without what the parser notes for itself.
function plain(schema) {
  return JSON.parse(JSON.stringify(schema, (key, value) => (key.startsWith("x-parser-") ? undefined : value)));
}

console.log(
  JSON.stringify({
    findings: diagnostics.map(({ code, message, path }) => ({ code, message, path: path.join(".") })),
    misfits: [
      ...messages.flatMap((message) => message.examples().all().flatMap((one) =>
        misfits(message, { headers: one.headers(), payload: one.payload() }))),
      ...given.samples.flatMap((sample) => {
        const message = messages.find((one) => one.name() === sample.type);
        return message ? misfits(message, sample) : [`${sample.type} is not in the document`];
      }),
    ],
    operations: document ? document.operations().all().map((one) => [one.id(), one.action()]) : [],
    channels: document
      ? document.channels().all().map((channel) => ({
          address: channel.address(),
          messages: channel.messages().all().map((message) => message.name()),
          bindings: channel.bindings().all().map((binding) => binding.protocol()),
        }))
      : [],
  }),
);
