/** What a TLS ClientHello says before the handshake. */
export interface ClientHello {
  /** Lower case; empty where there is none. */
  readonly serverName: string;
  readonly applicationProtocols: readonly string[];
}

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
/** Largest ClientHello that is looked at (Envoy's default: 16 KiB). */
export const MAX_CLIENT_HELLO_BYTES = 16 * 1024;

/**
 * Reads server name and ALPN from the first bytes of a connection (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301). `more`: the hello is not whole yet;
 * undefined: this is no TLS. Nothing is allocated for a length that is claimed.
 */
export function readClientHello(bytes: Uint8Array): ClientHello | 'more' | undefined {
  if (bytes.length === 0) return 'more';
  if (bytes[0] !== HANDSHAKE || (bytes.length > 1 && bytes[1] !== 3)) return undefined;
  const message = handshakeBytes(bytes);
  if (message === undefined) return undefined;
  if (message.length > 0 && message[0] !== CLIENT_HELLO) return undefined;
  if (message.length < 4) return 'more';
  const length = (message[1] << 16) | (message[2] << 8) | message[3];
  if (length > MAX_CLIENT_HELLO_BYTES) return undefined;
  if (message.length < 4 + length) return 'more';
  return readHello(message.subarray(4, 4 + length));
}

/** The handshake bytes of the records so far. Undefined: not a handshake. */
function handshakeBytes(bytes: Uint8Array): Uint8Array | undefined {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes[at] !== HANDSHAKE) return parts.length === 0 ? undefined : Buffer.concat(parts);
    if (at + 5 > bytes.length) break;
    const length = (bytes[at + 3] << 8) | bytes[at + 4];
    if (length === 0 || length > MAX_CLIENT_HELLO_BYTES) return undefined;
    parts.push(bytes.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  return Buffer.concat(parts);
}

function readHello(hello: Uint8Array): ClientHello | undefined {
  const view = new DataView(hello.buffer, hello.byteOffset, hello.byteLength);
  try {
    let at = 34;
    at += 1 + view.getUint8(at);
    at += 2 + view.getUint16(at);
    at += 1 + view.getUint8(at);
    let serverName = '';
    let applicationProtocols: string[] = [];
    if (at + 2 > hello.length) return { serverName, applicationProtocols };
    const end = at + 2 + view.getUint16(at);
    at += 2;
    while (at + 4 <= Math.min(end, hello.length)) {
      const type = view.getUint16(at);
      const length = view.getUint16(at + 2);
      const body = hello.subarray(at + 4, at + 4 + length);
      if (type === SERVER_NAME && body.length > 5 && body[2] === 0)
        serverName = latin1(body.subarray(5, 5 + ((body[3] << 8) | body[4]))).toLowerCase();
      else if (type === ALPN) applicationProtocols = protocolNames(body);
      at += 4 + length;
    }
    return { serverName, applicationProtocols };
  } catch (error) {
    // A length that points past the end: bytes that no TLS stack would accept.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
function protocolNames(body: Uint8Array): string[] {
  const names: string[] = [];
  for (let at = 2; at < body.length; at += 1 + body[at]) names.push(latin1(body.subarray(at + 1, at + 1 + body[at])));
  return names;
}
const latin1 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
