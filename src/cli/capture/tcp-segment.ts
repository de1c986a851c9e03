/** The TCP segment inside of a captured packet. */
import type { Packet } from './capture-file.js';

/** One TCP segment. */
export interface Segment {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly timeMs: number;
  readonly sequence: number;
  readonly isSyn: boolean;
  readonly isAck: boolean;
  readonly payload: Uint8Array;
}
/** `text`: as in `10.0.0.1:80` and `[::1]:80`. */
export interface Endpoint {
  readonly text: string;
  readonly port: number;
}

const ETHERTYPE = { IPV4: 0x0800, IPV6: 0x86dd, VLAN: 0x8100, SERVICE_VLAN: 0x88a8 } as const;
const TCP = 6;
/** Extension headers of IPv6 that stand before TCP; a fragment does not count: its rest is in another packet. */
const IPV6_EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60, 135]);
const MAX_EXTENSIONS = 8;

/** Where IP begins in a packet of a link type; undefined: not IP, or a link type that is not known. */
function ipOf({ linkType, bytes }: Packet): Uint8Array | undefined {
  const u16 = (at: number): number => (at + 2 <= bytes.length ? (bytes[at] << 8) | bytes[at + 1] : 0);
  const isIp = (type: number): boolean => type === ETHERTYPE.IPV4 || type === ETHERTYPE.IPV6;
  switch (linkType) {
    case 0: // loopback of BSD: a family, in the order of the machine
    case 108: // the same, big-endian
      return bytes.subarray(4);
    case 1: {
      let at = 12;
      for (let tags = 0; tags < 2 && (u16(at) === ETHERTYPE.VLAN || u16(at) === ETHERTYPE.SERVICE_VLAN); tags++) at += 4;
      return isIp(u16(at)) ? bytes.subarray(at + 2) : undefined;
    }
    case 12: // raw IP, as some systems number it
    case 14:
    case 101:
    case 228:
    case 229:
      return bytes;
    case 113: // Linux cooked, version 1
      return isIp(u16(14)) ? bytes.subarray(16) : undefined;
    case 276: // Linux cooked, version 2
      return isIp(u16(0)) ? bytes.subarray(20) : undefined;
    default:
      return undefined;
  }
}

/** The segment in a packet; undefined for everything else, for fragments, and for packets that were cut off before their data. */
export function segmentOf(packet: Packet): Segment | undefined {
  const ip = ipOf(packet);
  if (ip === undefined || ip.length < 20) return undefined;
  if (ip[0] >> 4 === 4) {
    const headBytes = (ip[0] & 15) * 4;
    const isFragment = (((ip[6] << 8) | ip[7]) & 0x3fff) !== 0;
    if (headBytes < 20 || isFragment || ip[9] !== TCP) return undefined;
    // 0: the network card cuts what the system hands over (TSO), and the length is not known yet.
    const totalBytes = (ip[2] << 8) | ip[3] || ip.length;
    const address = (at: number): string => ip.subarray(at, at + 4).join('.');
    return tcpOf(packet, ip.subarray(headBytes, totalBytes), address(12), address(16));
  }
  if (ip[0] >> 4 !== 6 || ip.length < 40) return undefined;
  const payloadBytes = (ip[4] << 8) | ip[5] || ip.length - 40;
  let [next, at] = [ip[6], 40];
  for (let i = 0; i < MAX_EXTENSIONS && IPV6_EXTENSIONS.has(next) && at + 8 <= ip.length; i++) {
    next = ip[at];
    at += (ip[at + 1] + 1) * 8;
  }
  if (next !== TCP) return undefined;
  return tcpOf(packet, ip.subarray(at, 40 + payloadBytes), `[${ipv6Text(ip.subarray(8, 24))}]`, `[${ipv6Text(ip.subarray(24, 40))}]`);
}
function tcpOf({ timeMs }: Packet, tcp: Uint8Array, source: string, destination: string): Segment | undefined {
  if (tcp.length < 20) return undefined;
  const view = new DataView(tcp.buffer, tcp.byteOffset, tcp.byteLength);
  const headBytes = (tcp[12] >> 4) * 4;
  if (headBytes < 20 || headBytes > tcp.length) return undefined;
  const [from, to] = [view.getUint16(0), view.getUint16(2)];
  return {
    source: { text: `${source}:${from}`, port: from },
    destination: { text: `${destination}:${to}`, port: to },
    timeMs,
    sequence: view.getUint32(4),
    isSyn: (tcp[13] & 0x02) !== 0,
    isAck: (tcp[13] & 0x10) !== 0,
    payload: tcp.subarray(headBytes),
  };
}
/** RFC 5952: the longest run of zeros is `::`. */
function ipv6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] << 8) | bytes[2 * i + 1]).toString(16));
  const runs = [...groups.join(':').matchAll(/\b0(?::0)+\b/g)].map(([run]) => run).sort((a, b) => b.length - a.length);
  if (runs.length === 0) return groups.join(':');
  const [before, ...after] = groups.join(':').split(runs[0]);
  return `${before.replace(/:$/, '')}::${after.join(runs[0]).replace(/^:/, '')}`;
}
