// Servers with certificates, good and bad ones, each on a port of its own. One line on stdout says where they are; then
// each request that got through is a line. The key is for tests and nothing else; its certificates were made with
//
//   openssl req -x509 ... -out ca.pem                              an authority, whose key was thrown away
//   openssl x509 -req -CA ca.pem ... -out good.pem                 for IP 127.0.0.1
//   openssl x509 -req -CA ca.pem ... -out another_name.pem         for shop.example and 192.0.2.7
//   openssl ca -startdate 2020.. -enddate 2021.. -out expired.pem  for IP 127.0.0.1
//   openssl req -x509 ... -out self_signed.pem                     for IP 127.0.0.1
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const file = (name) => readFileSync(new URL(name, import.meta.url));
const kinds = ["good", "another_name", "expired", "self_signed"];
const listening = kinds.map(
  (kind) =>
    new Promise((done) => {
      const server = createServer({ key: file("server.key.pem"), cert: file(`${kind}.pem`) }, (request, response) => {
        const { method, url, headers } = request;
        console.log(JSON.stringify({ kind, method, url, authorization: headers.authorization }));
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ products: [] }));
      });
      server.listen(0, "127.0.0.1", () => done([kind, `https://127.0.0.1:${server.address().port}`]));
    }),
);
console.log(JSON.stringify(Object.fromEntries(await Promise.all(listening))));
