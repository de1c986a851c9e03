import { DEFAULT_MAX_FRAME_BYTES } from '../protocol/codec.js';
import type { ProfileOptions } from './engine.js';
import type { NodeProfile } from './node-connection.js';

const DEFAULT_HEAD_BYTES = 61_440;
const DEFAULT_HEADERS = 100;
const DEFAULT_BUFFER_BYTES = 1024 * 1024;
const DEFAULT_LINGER_MS = 1000;
const DEFAULT_LINGER_BYTES = 1024 * 1024;

/** A profile with its defaults filled in. `other`: the one of `prefaceProfile`. */
export function nodeProfile(options: ProfileOptions, other: NodeProfile | undefined): NodeProfile {
  const { framing } = options;
  const bare = framing === 'raw' || framing === 'inspect' ? framing : undefined;
  const codec = typeof framing !== 'string' && 'framing' in framing ? framing : undefined;
  const streamFraming = typeof framing !== 'string' && 'connect' in framing ? framing : undefined;
  const messages = typeof framing !== 'string' && 'open' in framing && !('framing' in framing) ? framing : undefined;
  const maxHeadBytes = options.maxHeadBytes ?? DEFAULT_HEAD_BYTES;
  const highBytes = options.bufferLimitBytes ?? DEFAULT_BUFFER_BYTES;
  const preface = other?.streamFraming?.preface;
  return {
    kind: bare ?? (codec !== undefined ? 'frames' : streamFraming !== undefined ? 'streams' : 'message'),
    framing: messages,
    streamFraming,
    streamOptions: options.streamOptions ?? streamFraming?.options({}) ?? new Int32Array(0),
    preface:
      other === undefined || preface === undefined || options.prefaceProfile === undefined
        ? undefined
        : { number: options.prefaceProfile, profile: other, bytes: preface },
    codec,
    maxFrameBytes: codec === undefined ? 0 : (options.maxFrameBytes ?? codec.maxFrameBytes ?? DEFAULT_MAX_FRAME_BYTES),
    cutThroughBytes: options.cutThroughBytes ?? 0,
    limits: {
      maxHeadBytes,
      maxHeaders: options.maxHeaders ?? DEFAULT_HEADERS,
      maxTargetBytes: options.maxTargetBytes ?? maxHeadBytes,
      acceptHttp10: options.acceptHttp10 ?? true,
      underscores: options.underscores ?? 'allow',
    },
    downstream: options.side === 'downstream',
    highBytes,
    maxRetainBytes: options.maxRetainBytes ?? highBytes,
    idleMs: options.idleTimeoutMs ?? 0,
    headMs: options.headTimeoutMs ?? 0,
    lingerMs: options.lingerMs ?? DEFAULT_LINGER_MS,
    lingerBytes: options.lingerBytes ?? DEFAULT_LINGER_BYTES,
    wire: options.wire,
  };
}
