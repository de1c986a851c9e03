import type { StreamLimits } from '../../protocol/stream-framing.js';
import type { KeepAliveOptions } from '../../proxy/runtime.js';
import type * as v3 from '../config/types.js';
import type { Fields } from './context.js';

export const HTTP2_OPTIONS = 'envoy.config.core.v3.Http2ProtocolOptions';
export const HTTP2_LIMITS = 'sluice.extensions.http2.v1.Http2Limits';
const KEEPALIVE = 'envoy.config.core.v3.KeepaliveSettings';

/** Options of HTTP/2 on either side. What the configuration does not say is not in `streams`: it has the codec's default. */
export interface Http2Options {
  readonly streams: Partial<StreamLimits>;
  readonly keepAlive: KeepAliveOptions | undefined;
  /** As the configuration says it: downstream a bound of the client, upstream one of ours. */
  readonly maxConcurrentStreams: number | undefined;
}

/** A word of the codec's options has 31 bits. */
const MAX_WORD = 2 ** 31 - 1;
/** Memory of one connection that the peer has a say in. */
const MAX_TABLE_BYTES = 1024 * 1024;

/** Reads `Http2ProtocolOptions`. */
export function compileHttp2Options(options: Fields<v3.Http2ProtocolOptions> | undefined): Http2Options {
  if (options === undefined) return { streams: {}, keepAlive: undefined, maxConcurrentStreams: undefined };
  const tableBytes = options.get('hpackTableSize');
  if (tableBytes !== undefined && tableBytes > MAX_TABLE_BYTES)
    options.problem('hpackTableSize', `${tableBytes} bytes for each connection; ${MAX_TABLE_BYTES} is the most that is supported`, 'UNSUPPORTED');
  if (options.get('allowMetadata') === true) options.problem('allowMetadata', 'METADATA frames are not supported', 'UNSUPPORTED');
  if ((options.get('customSettingsParameters')?.length ?? 0) > 0)
    options.problem('customSettingsParameters', 'further settings are not supported; those of RFC 9113 have fields of their own', 'UNSUPPORTED');
  return {
    streams: words({
      decoderTable: tableBytes,
      encoderTable: tableBytes,
      streamWindow: options.get('initialStreamWindowSize'),
      connectionWindow: options.get('initialConnectionWindowSize'),
      extendedConnect: options.get('allowConnect') === true ? 1 : undefined,
      maxQueuedControls: options.get('maxOutboundControlFrames'),
      maxEmptyFrames: options.get('maxConsecutiveInboundFramesWithEmptyPayload'),
      prioritiesPerStream: options.get('maxInboundPriorityFramesPerStream'),
      windowUpdatesPerData: options.get('maxInboundWindowUpdateFramesPerDataFrameSent'),
    }),
    keepAlive: compileKeepAlive(options.child('connectionKeepalive', KEEPALIVE)),
    maxConcurrentStreams: options.get('maxConcurrentStreams'),
  };
}

function compileKeepAlive(settings: Fields<v3.KeepaliveSettings> | undefined): KeepAliveOptions | undefined {
  if (settings === undefined) return undefined;
  const [intervalMs, connectionIdleMs] = [settings.get('interval') ?? 0, settings.get('connectionIdleInterval') ?? 0];
  const [timeoutMs, jitterPercent] = [settings.get('timeout') ?? 0, settings.get('intervalJitter')?.value];
  if (intervalMs === 0 && connectionIdleMs === 0) return undefined;
  // The message without its field is an explicit 0.
  return { intervalMs, jitterPercent: jitterPercent ?? (settings.value.intervalJitter === undefined ? 15 : 0), timeoutMs, connectionIdleMs };
}

/** Reads our own limits, those that Envoy has no field for. */
export function compileHttp2Limits(limits: Fields<v3.Http2Limits>): Partial<StreamLimits> {
  return words({
    resetsBurst: limits.get('maxResets'),
    resetsMs: limits.get('resetInterval'),
    controlsBurst: limits.get('maxControlFrames'),
    controlsMs: limits.get('controlFrameInterval'),
    maxContinuations: limits.get('maxContinuationFrames'),
    maxBlockBytes: limits.get('maxHeaderBlockBytes'),
    maxSettings: limits.get('maxSettingsEntries'),
    settingsTimeoutMs: limits.get('settingsTimeout'),
    maxFrameSize: limits.get('maxFrameSize'),
  });
}

/** The bounds of a block and of frames within which every head fits that may have so many bytes: the codec's own suffice up to 60 KiB. */
const BLOCK_BYTES = 64 * 1024;
const FRAME_BYTES = 16 * 1024;

/** Limits of heads that HTTP/2 has in common with HTTP/1, as the codec takes them. */
export function headLimits(maxHeadBytes: number, maxHeaders: number): Partial<StreamLimits> {
  const heads = { maxHeadBytes, maxTargetBytes: maxHeadBytes, maxHeaders };
  if (maxHeadBytes <= BLOCK_BYTES) return heads;
  return { ...heads, maxBlockBytes: maxHeadBytes, maxContinuations: 2 * Math.ceil(maxHeadBytes / FRAME_BYTES) };
}

/** Whole numbers that fit; without those that are not given. */
function words(given: Partial<Record<keyof StreamLimits, number | undefined>>): Partial<StreamLimits> {
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, Math.min(Math.ceil(value), MAX_WORD)]])),
  );
}
