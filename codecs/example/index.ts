import type { Codec } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { encodeFrame } from '../../src/protocol/frame-encoder.js';
import { framing, KIND, MAGIC, STATUS } from './spec.js';

const STATUS_SLOT = framing.slot('status');
/** Longest `VERB SP STORE` that is read of a body. */
const MAX_COMMAND_BYTES = 256;

const frame = (kind: number, id: number, status: number = STATUS.OK, text = ''): Uint8Array =>
  encodeFrame(framing, { fields: { kind, id, status }, sections: { body: Buffer.from(text) } });

/** `VERB SP STORE ["/" KEY] [SP VALUE]` at the front of a request's body. */
function commandOf(request: Frame): RegExpExecArray | null {
  return /^([a-z]{1,16}) ([^\s/]{1,200})(?=[\s/]|$)/.exec(Buffer.from(request.section('body').subarray(0, MAX_COMMAND_BYTES)).toString('latin1'));
}

/** Status of the protocol for one of HTTP's. */
function statusFor(http: number): number {
  if (http === 404) return STATUS.NOT_FOUND;
  if (http === 503 || http === 429) return STATUS.BUSY;
  return http === 504 ? STATUS.TIMEOUT : STATUS.FAILED;
}

/** By status: the HTTP status that means the same. Made once: it is asked for every response. */
const CLASS_OF: Readonly<Record<number, number>> = { [STATUS.OK]: 200, [STATUS.NOT_FOUND]: 404, [STATUS.BUSY]: 503, [STATUS.TIMEOUT]: 504 };

/** The teaching codec: a key-value protocol that nobody speaks. README.md goes through it line by line. */
export default {
  name: 'kv',
  pool: 'multiplex',
  match: (head) => (head.length === 0 ? 'more' : head[0] === MAGIC ? 'yes' : 'no'),
  framing,

  service: (request) => commandOf(request)?.[2],
  method: (request) => commandOf(request)?.[1],
  status: (response) => response.at(STATUS_SLOT),
  statusClass: (status) => CLASS_OF[status] ?? 500,

  respond: (request, { status, details }) => frame(KIND.RESPONSE, request.idLow >>> 0, statusFor(status), details),
  heartbeat: (id) => frame(KIND.HEARTBEAT, id >>> 0),
  heartbeatAck: (heartbeat) => frame(KIND.HEARTBEAT_ACK, heartbeat.idLow >>> 0),
  goAway: () => frame(KIND.GO_AWAY, 0),
} satisfies Codec;
