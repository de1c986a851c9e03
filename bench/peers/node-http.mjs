/**
 * What a Node.js developer writes without Sluice: node:http in front, an http.Agent with keep-alive behind.
 *   node node-http.mjs http|tcp PORT BACKEND_PORT
 */
import { Agent, createServer, request } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';

const [mode, port, backendPort] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']);

function withoutHopByHop(headers) {
  const kept = {};
  for (const name in headers) if (!HOP_BY_HOP.has(name)) kept[name] = headers[name];
  return kept;
}

if (mode === 'http') {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 20_000 });
  const server = createServer((incoming, outgoing) => {
    const upstream = request(
      { host: '127.0.0.1', port: backendPort, method: incoming.method, path: incoming.url, headers: withoutHopByHop(incoming.headers), agent },
      (response) => {
        outgoing.writeHead(response.statusCode, withoutHopByHop(response.headers));
        response.pipe(outgoing);
      },
    );
    upstream.on('error', () => {
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end();
    });
    incoming.pipe(upstream);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port, '127.0.0.1', 1024);
} else {
  createTcpServer({ noDelay: true }, (downstream) => {
    const upstream = connect({ port: backendPort, host: '127.0.0.1', noDelay: true });
    downstream.pipe(upstream).pipe(downstream);
    downstream.on('error', () => upstream.destroy());
    upstream.on('error', () => downstream.destroy());
    downstream.on('close', () => upstream.destroy());
    upstream.on('close', () => downstream.destroy());
  }).listen(port, '127.0.0.1', 1024);
}
