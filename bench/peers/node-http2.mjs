/**
 * What a Node.js developer writes without Sluice where HTTP/2 is spoken: node:http2 on either side, node:http on the other.
 *   node node-http2.mjs FRONT BACK PORT BACKEND_PORT      FRONT and BACK: h1 or h2
 */
import { Agent, createServer as createHttp1Server, request } from 'node:http';
import { connect, constants, createServer as createHttp2Server } from 'node:http2';

const [front, back] = process.argv.slice(2, 4);
const [port, backendPort] = process.argv.slice(4, 6).map(Number);
const OF_A_CONNECTION = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'host', 'http2-settings']);
/** As many as the server lets be open on one connection. */
const STREAMS_PER_SESSION = 100;

/** Fields of a message, without those of its connection and its pseudo-headers. */
function fieldsOf(headers) {
  const kept = {};
  for (const name in headers) if (name[0] !== ':' && !OF_A_CONNECTION.has(name)) kept[name] = headers[name];
  return kept;
}

const sessions = [];
/** One with room for a stream. */
function session() {
  const free = sessions.find((one) => one.streams < STREAMS_PER_SESSION && !one.closed && !one.destroyed);
  if (free !== undefined) return free;
  const made = connect(`http://127.0.0.1:${backendPort}`);
  made.streams = 0;
  made.on('error', () => made.destroy());
  made.on('close', () => sessions.splice(sessions.indexOf(made), 1));
  sessions.push(made);
  return made;
}

const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 20_000 });

/** Sends a request on. `answer(status, fields)` gives where the body of the response goes, or undefined where nobody waits; `trailers` takes what follows it. */
function forward(method, path, authority, fields, body, hasBody, answer, trailers, fail) {
  if (back === 'h2') {
    const to = session();
    to.streams++;
    const stream = to.request({ ':method': method, ':path': path, ':authority': authority, ...fields }, { endStream: !hasBody });
    stream.on('close', () => to.streams--);
    stream.on('error', fail);
    stream.on('trailers', trailers);
    stream.on('response', (headers) => {
      const taker = answer(headers[':status'], fieldsOf(headers));
      if (taker === undefined) stream.destroy();
      else stream.pipe(taker);
    });
    if (hasBody) body.pipe(stream);
    return;
  }
  const upstream = request({ host: '127.0.0.1', port: backendPort, method, path, headers: { ...fields, host: authority }, agent }, (response) => {
    const taker = answer(response.statusCode, fieldsOf(response.headers));
    if (taker === undefined) response.destroy();
    else response.pipe(taker);
  });
  upstream.on('error', fail);
  if (hasBody) body.pipe(upstream);
  else upstream.end();
}

if (front === 'h2') {
  const server = createHttp2Server({ settings: { maxConcurrentStreams: STREAMS_PER_SESSION } });
  server.on('stream', (stream, headers, flags) => {
    const hasBody = (flags & constants.NGHTTP2_FLAG_END_STREAM) === 0;
    let last;
    stream.on('error', () => {});
    stream.on('wantTrailers', () => stream.sendTrailers(last ?? {}));
    const isGrpc = headers['content-type']?.startsWith('application/grpc') === true;
    const answer = (status, fields) => {
      if (stream.destroyed) return undefined;
      stream.respond({ ':status': status, ...fields }, { waitForTrailers: isGrpc });
      return stream;
    };
    const fail = () => {
      if (!stream.headersSent && !stream.destroyed) stream.respond({ ':status': 502 }, { endStream: true });
      else stream.destroy();
    };
    const takeTrailers = (fields) => {
      last = fieldsOf(fields);
    };
    forward(headers[':method'], headers[':path'], headers[':authority'], fieldsOf(headers), stream, hasBody, answer, takeTrailers, fail);
  });
  server.listen(port, '127.0.0.1', 1024);
} else {
  const server = createHttp1Server((incoming, outgoing) => {
    const hasBody = incoming.headers['content-length'] !== undefined || incoming.headers['transfer-encoding'] !== undefined;
    const answer = (status, fields) => outgoing.writeHead(status, fields);
    const fail = () => (outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end());
    forward(incoming.method, incoming.url, incoming.headers.host, fieldsOf(incoming.headers), incoming, hasBody, answer, () => {}, fail);
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port, '127.0.0.1', 1024);
}
