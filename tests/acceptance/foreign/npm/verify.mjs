// Verifies captured webhooks with the official Standard Webhooks library for JavaScript.
//
// node verify.mjs SECRET
//
// One request per line on standard input: {"headers": {…}, "body": "<base64>"}. Prints how many are genuine and why the
// others are not; the library also refuses timestamps more than five minutes away.
import { createInterface } from "node:readline";

import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.argv[2]);
const reasons = [];
let ok = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  try {
    webhook.verify(Buffer.from(request.body, "base64"), request.headers);
    ok += 1;
  } catch (error) {
    reasons.push(error.message);
  }
}
console.log(JSON.stringify({ ok, failed: reasons.length, reasons }));
