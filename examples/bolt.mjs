/** The Bolt side of `npm start`: a service and a client that speak just enough of it. codecs/bolt/README.md draws the frames. */
import { connect, createServer } from 'node:net';

const [RESPONSE, REQUEST] = [0, 1];
const [CMD_HEARTBEAT, CMD_REQUEST, CMD_RESPONSE] = [0, 1, 2];
const REQUEST_HEAD_BYTES = 22;
const RESPONSE_HEAD_BYTES = 20;
const STATUS = { 0: 'success', 4: 'busy', 6: 'no such service' };

const textBlock = (text) => {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
};
const headerBlock = (headers) => Buffer.concat(Object.entries(headers).flat().map(textBlock));
function readHeaders(block) {
  const texts = [];
  for (let at = 0; at < block.length; ) {
    const end = at + 4 + block.readInt32BE(at);
    texts.push(block.toString('utf8', at + 4, end));
    at = end;
  }
  return new Map(Array.from({ length: texts.length / 2 }, (_, pair) => [texts[2 * pair], texts[2 * pair + 1]]));
}

/** A frame of version 1. `last`: the timeout of a request, the status of a response. */
function frame(type, cmdcode, id, last, headers = {}, content = '') {
  const head = Buffer.alloc(type === REQUEST ? REQUEST_HEAD_BYTES : RESPONSE_HEAD_BYTES);
  const [header, body] = [headerBlock(headers), Buffer.from(content)];
  head.set([1, type, 0, cmdcode, 1]);
  head.writeUInt32BE(id, 5);
  head[9] = 1;
  if (type === REQUEST) head.writeInt32BE(last, 10);
  else head.writeUInt16BE(last, 10);
  head.writeUInt16BE(header.length, head.length - 6);
  head.writeUInt32BE(body.length, head.length - 4);
  return Buffer.concat([head, header, body]);
}
/** Calls back with each whole frame of a socket. */
function readFrames(socket, onFrame) {
  let input = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    input = Buffer.concat([input, chunk]);
    for (;;) {
      const headBytes = input[1] === RESPONSE ? RESPONSE_HEAD_BYTES : REQUEST_HEAD_BYTES;
      if (input.length < headBytes) return;
      const [classBytes, headerBytes] = [input.readUInt16BE(headBytes - 8), input.readUInt16BE(headBytes - 6)];
      const contentAt = headBytes + classBytes + headerBytes;
      const end = contentAt + input.readUInt32BE(headBytes - 4);
      if (input.length < end) return;
      const headers = readHeaders(input.subarray(headBytes + classBytes, contentAt));
      onFrame({
        cmdcode: input[3],
        id: input.readUInt32BE(5),
        status: input.readUInt16BE(10),
        headers,
        content: input.toString('utf8', contentAt, end),
      });
      input = input.subarray(end);
    }
  });
}

/** A service that answers every request with its name and what it was asked. */
export function startBoltService({ name, port }) {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    readFrames(socket, ({ cmdcode, id, headers }) => {
      if (cmdcode === CMD_HEARTBEAT) socket.write(frame(RESPONSE, CMD_HEARTBEAT, id, 0));
      else {
        const via = headers.has('via') ? ` via ${headers.get('via')}` : '';
        socket.write(
          frame(RESPONSE, CMD_RESPONSE, id, 0, {}, `${name} answers ${headers.get('service')}/${headers.get('sofa_head_method_name')}${via}`),
        );
      }
    });
  });
  server.closeAllConnections = () => {
    for (const socket of sockets) socket.destroy();
  };
  return new Promise((resolve, reject) => {
    server.on('error', (cause) => reject(new Error(`the demo service "${name}" needs port ${port}: ${cause.message}`, { cause })));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** Sends requests for `[service, method]` on one connection, and gives what came back, in their order. */
export function callBolt(port, calls) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const answers = [];
    let left = calls.length;
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection was closed')));
    readFrames(socket, ({ id, status, content }) => {
      answers[id - 1] = { status: STATUS[status] ?? `status ${status}`, body: content };
      left--;
      if (left > 0) return;
      resolve(answers);
      socket.end();
    });
    calls.forEach(([service, method], at) => {
      socket.write(frame(REQUEST, CMD_REQUEST, at + 1, 3000, { service, sofa_head_method_name: method }, 'anything'));
    });
  });
}
