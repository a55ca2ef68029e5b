// Publishes CloudEvents with the official JavaScript SDK and amqplib, the way a Node.js service would.
//
// node publish.mjs AMQP_URL EXCHANGE MODE    MODE: binary:colon | binary:underscore | structured
//
// One JSON object per line on standard input: the attributes of an event and its `data`. Prints how many the broker
// confirmed. The SDK has no AMQP binding, so its HTTP messages are mapped as the AMQP binding of CloudEvents says.
import { once } from "node:events";
import { createInterface } from "node:readline";

import amqp from "amqplib";
import { CloudEvent, HTTP } from "cloudevents";

const PREFIXES = { "binary:colon": "cloudEvents:", "binary:underscore": "cloudEvents_" };
const [url, exchange, mode] = process.argv.slice(2);

function toMessage(event) {
  if (mode === "structured") return HTTP.structured(event);
  const prefix = PREFIXES[mode];
  if (prefix === undefined) throw new Error(`unknown mode ${mode}`);
  const message = HTTP.binary(event);
  const headers = Object.entries(message.headers).map(([name, value]) => [name.replace(/^ce-/, prefix), value]);
  return { headers: Object.fromEntries(headers), body: message.body };
}

const connection = await amqp.connect(url);
const channel = await connection.createConfirmChannel();
channel.on("return", (returned) => {
  process.exitCode = 1;
  console.error(`unroutable: ${returned.fields.routingKey}`);
});

let count = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const event = new CloudEvent(JSON.parse(line));
  const { headers, body } = toMessage(event);
  const { "content-type": contentType, ...rest } = headers;
  const options = { contentType, headers: rest, messageId: event.id, persistent: true, mandatory: true };
  const room = channel.publish(exchange, event.type, Buffer.from(body), options);
  if (!room) await once(channel, "drain");
  count += 1;
}
await channel.waitForConfirms();
await connection.close();
console.log(JSON.stringify({ confirmed: count }));
