// Verifies DKIM signatures with a library nobody here wrote, as a receiver would, but for the DNS.
//
// node verifydkim.mjs '{"s1._domainkey.example.org": "v=DKIM1; k=rsa; p=…"}'
//
// One mail per line on standard input: "<base64 of its bytes>". Prints one JSON array: of each mail, its signatures as
// [domain, result, the domain it is aligned with or false].
import { createInterface } from "node:readline";

import { dkimVerify } from "mailauth/lib/dkim/verify.js";

const records = JSON.parse(process.argv[2]);

async function resolver(name, type) {
  if (type === "TXT" && records[name]) return [[records[name]]];
  throw Object.assign(new Error(`no ${type} of ${name}`), { code: "ENOTFOUND" });
}

const found = [];
for await (const line of createInterface({ input: process.stdin })) {
  const { results } = await dkimVerify(Buffer.from(line, "base64"), { resolver });
  found.push(results.map(({ signingDomain, status }) => [signingDomain, status.result, status.aligned]));
}
console.log(JSON.stringify(found));
