import { type Codec, type Frame, matchBytes } from 'sluice/codec';
import { openSession } from './decoder.js';
import { encode } from './encoder.js';
import { KIND, KINDS, layout, MAGIC, STATUS } from './spec.js';

const STATUS_SLOT = layout.slot('status');

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
  match: matchBytes(...MAGIC, (kind) => kind < KINDS.length),
  framing: { layout, open: (_side, limits) => openSession(limits) },

  service: (request) => nameOf(request)?.service,
  method: (request) => nameOf(request)?.method,
  status: (response) => response.at(STATUS_SLOT),
  statusClass: (status) =>
    ({ [STATUS.OK]: 200, [STATUS.NOT_FOUND]: 404, [STATUS.FAILED]: 500, [STATUS.BUSY]: 503, [STATUS.TIMEOUT]: 504 })[status] ?? 500,

  respond: (request, { status, details }) => encode({ kind: KIND.RESPONSE, id: request.idLow, status: statusFor(status), body: details }),
  heartbeat: (id) => encode({ kind: KIND.HEARTBEAT, id }),
  heartbeatAck: (heartbeat) => encode({ kind: KIND.HEARTBEAT_ACK, id: heartbeat.idLow }),
  goAway: () => encode({ kind: KIND.GO_AWAY, id: 0 }),
} satisfies Codec;
