import { type Codec, encodeFrame, type Frame, matchBytes } from 'sluice/codec';
import { framing, KIND, KINDS, MAGIC, STATUS } from './spec.js';

const STATUS_SLOT = framing.slot('status');

const frame = (kind: number, id: number, status: number = STATUS.OK, text = ''): Uint8Array =>
  encodeFrame(framing, { fields: { kind, id, status }, sections: { body: Buffer.from(text) } });

/** `Service.method` of a request, in two. */
function nameOf(request: Frame): { readonly service: string; readonly method: string } | undefined {
  const name = Buffer.from(request.section('name')).toString('utf8');
  const dot = name.lastIndexOf('.');
  return dot < 1 ? undefined : { service: name.slice(0, dot), method: name.slice(dot + 1) };
}

/** Status of the protocol for one of HTTP's: what the proxy says when it answers by itself. */
function statusFor(http: number): number {
  if (http === 404) return STATUS.NOT_FOUND;
  if (http === 503 || http === 429) return STATUS.BUSY;
  return http === 504 ? STATUS.TIMEOUT : STATUS.FAILED;
}

/** The acme protocol; README.md draws its wire. */
export default {
  name: 'acme',
  pool: 'multiplex', // many requests in flight on a connection, paired by id
  match: matchBytes(MAGIC >> 8, MAGIC & 0xff, (kind) => kind < KINDS.length),
  framing,

  service: (request) => nameOf(request)?.service,
  method: (request) => nameOf(request)?.method,
  status: (response) => response.at(STATUS_SLOT),
  statusClass: (status) =>
    ({ [STATUS.OK]: 200, [STATUS.NOT_FOUND]: 404, [STATUS.FAILED]: 500, [STATUS.BUSY]: 503, [STATUS.TIMEOUT]: 504 })[status] ?? 500,

  respond: (request, { status, details }) => frame(KIND.RESPONSE, request.idLow >>> 0, statusFor(status), details),
  heartbeat: (id) => frame(KIND.HEARTBEAT, id >>> 0),
  heartbeatAck: (heartbeat) => frame(KIND.HEARTBEAT_ACK, heartbeat.idLow >>> 0),
  goAway: () => frame(KIND.GO_AWAY, 0),
} satisfies Codec;
