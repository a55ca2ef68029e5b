// Reads mails back with a parser nobody here wrote, the way a mail program in a browser would.
//
// node readmail.mjs
//
// One mail per line on standard input: "<base64 of its bytes>". Prints one JSON array with what a reader sees of each.
import { createInterface } from "node:readline";

import PostalMime from "postal-mime";

const person = ({ name, address }) => [name, address];

async function read(line) {
  const mail = await PostalMime.parse(Buffer.from(line, "base64"), { attachmentEncoding: "base64" });
  return {
    subject: mail.subject,
    sender: person(mail.from),
    to: (mail.to ?? []).map(person),
    message_id: mail.messageId,
    text: mail.text ?? "",
    html: mail.html ?? "",
    files: mail.attachments.map((file) => [file.filename, file.mimeType, file.content]),
  };
}

const mails = [];
for await (const line of createInterface({ input: process.stdin })) mails.push(await read(line));
console.log(JSON.stringify(mails));
