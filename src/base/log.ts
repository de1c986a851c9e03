/**
 * The application log: levels, components and format strings as Envoy (and spdlog beneath it) has them. Nothing here is global: the composition root
 * makes one `LogHub` per thread and passes `Logger`s down. A line is written at once where the target takes it; where it does not (a full pipe), it
 * waits in a bounded queue, and beyond that it is dropped and counted, so that a stuck reader of stderr never stops the proxy.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { ConfigError } from './errors.js';

/** From the most to the least talkative. `off` silences. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Names of components, Envoy's, so that its tools and habits (`--component-log-level router:debug`) keep working. */
export const LOG_COMPONENTS = [
  'admin',
  'alternate_protocols_cache',
  'assert',
  'aws',
  'backtrace',
  'basic_auth',
  'cache_filter',
  'client',
  'config',
  'conn_handler',
  'connection',
  'credential_injector',
  'decompression',
  'dns',
  'dubbo',
  'dynamic_forward_proxy',
  'dynamic_modules',
  'envoy_bug',
  'ext_authz',
  'ext_proc',
  'file',
  'filter',
  'forward_proxy',
  'golang',
  'grpc',
  'happy_eyeballs',
  'hc',
  'health_checker',
  'http',
  'http2',
  'hystrix',
  'init',
  'io',
  'jwt',
  'kafka',
  'key_value_store',
  'lua',
  'main',
  'matcher',
  'misc',
  'mongo',
  'multi_connection',
  'oauth2',
  'pool',
  'quic',
  'quic_stream',
  'rate_limit_quota',
  'rbac',
  'rds',
  'redis',
  'rocketmq',
  'router',
  'runtime',
  'secret',
  'stats',
  'stats_sinks',
  'tap',
  'testing',
  'thrift',
  'tracing',
  'udp',
  'upstream',
  'wasm',
  'websocket',
] as const;

/** Envoy's format without the source position, which compiled JavaScript does not have. */
export const DEFAULT_LOG_FORMAT = '[%Y-%m-%d %T.%e][%t][%l][%n] %v';

/** Lines that wait for a target that takes no more, in bytes. Beyond it lines are dropped and counted. */
export const MAX_QUEUED_LOG_BYTES = 1024 * 1024;
/** How often a target that took no more is tried again. */
const RETRY_MS = 20;

/** Reads a level name; `warn` and `fatal` are accepted for `warning` and `critical`. Undefined where it is none. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const name = text.toLowerCase();
  if (name === 'warn') return 'warning';
  if (name === 'fatal') return 'critical';
  return (LOG_LEVELS as readonly string[]).includes(name) ? (name as LogLevel) : undefined;
}

/** One line's facts, for a format. */
interface Line {
  readonly time: Date;
  readonly level: number;
  readonly name: string;
  readonly thread: number;
  readonly text: string;
}
type Formatter = (line: Line) => string;

const pad = (value: number, digits: number): string => String(value).padStart(digits, '0');
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
const clock = (t: Date): string => `${pad(t.getHours(), 2)}:${pad(t.getMinutes(), 2)}:${pad(t.getSeconds(), 2)}`;
const hour12 = (t: Date): number => t.getHours() % 12 || 12;
const zone = (t: Date): string => {
  const minutes = -t.getTimezoneOffset();
  return `${minutes < 0 ? '-' : '+'}${pad(Math.trunc(Math.abs(minutes) / 60), 2)}:${pad(Math.abs(minutes) % 60, 2)}`;
};
const jsonText = (text: string): string => JSON.stringify(text).slice(1, -1);

/** spdlog's flags (https://github.com/gabime/spdlog/wiki/Custom-formatting), and Envoy's `%_` and `%j`. Source positions are empty. */
const FLAGS: Readonly<Record<string, Formatter>> = {
  v: (line) => line.text,
  _: (line) => line.text.replaceAll('\n', '\\n'),
  j: (line) => jsonText(line.text),
  t: (line) => String(line.thread),
  P: () => String(process.pid),
  n: (line) => line.name,
  l: (line) => LOG_LEVELS[line.level],
  L: (line) => LOG_LEVELS[line.level][0].toUpperCase(),
  a: (line) => DAYS[line.time.getDay()].slice(0, 3),
  A: (line) => DAYS[line.time.getDay()],
  b: (line) => MONTHS[line.time.getMonth()].slice(0, 3),
  B: (line) => MONTHS[line.time.getMonth()],
  c: ({ time }) => `${DAYS[time.getDay()].slice(0, 3)} ${MONTHS[time.getMonth()].slice(0, 3)} ${time.getDate()} ${clock(time)} ${time.getFullYear()}`,
  C: (line) => pad(line.time.getFullYear() % 100, 2),
  y: (line) => pad(line.time.getFullYear() % 100, 2),
  Y: (line) => String(line.time.getFullYear()),
  D: ({ time }) => `${pad(time.getMonth() + 1, 2)}/${pad(time.getDate(), 2)}/${pad(time.getFullYear() % 100, 2)}`,
  x: ({ time }) => `${pad(time.getMonth() + 1, 2)}/${pad(time.getDate(), 2)}/${pad(time.getFullYear() % 100, 2)}`,
  m: (line) => pad(line.time.getMonth() + 1, 2),
  d: (line) => pad(line.time.getDate(), 2),
  H: (line) => pad(line.time.getHours(), 2),
  I: (line) => pad(hour12(line.time), 2),
  M: (line) => pad(line.time.getMinutes(), 2),
  S: (line) => pad(line.time.getSeconds(), 2),
  e: (line) => pad(line.time.getMilliseconds(), 3),
  f: (line) => pad(line.time.getMilliseconds() * 1000, 6),
  F: (line) => pad(line.time.getMilliseconds() * 1_000_000, 9),
  p: (line) => (line.time.getHours() < 12 ? 'AM' : 'PM'),
  r: ({ time }) => `${pad(hour12(time), 2)}:${pad(time.getMinutes(), 2)}:${pad(time.getSeconds(), 2)} ${time.getHours() < 12 ? 'AM' : 'PM'}`,
  R: ({ time }) => `${pad(time.getHours(), 2)}:${pad(time.getMinutes(), 2)}`,
  T: (line) => clock(line.time),
  X: (line) => clock(line.time),
  z: (line) => zone(line.time),
  E: (line) => String(Math.floor(line.time.getTime() / 1000)),
  g: () => '',
  s: () => '',
  '#': () => '',
  '!': () => '',
  '@': () => '',
  '^': () => '',
  $: () => '',
  '+': (line) => FORMAT_PLUS(line),
  '%': () => '%',
};
const FORMAT_PLUS: Formatter = (line) =>
  `[${line.time.getFullYear()}-${pad(line.time.getMonth() + 1, 2)}-${pad(line.time.getDate(), 2)} ${clock(line.time)}.${pad(line.time.getMilliseconds(), 3)}] [${line.name}] [${LOG_LEVELS[line.level]}] ${line.text}`;

/** Compiles a text format: flags, each with spdlog's optional alignment and width (`%-8l`, `%=8n`, `%3!t`). Throws ConfigError on an unknown flag. */
function compileFormat(format: string): Formatter {
  const parts: (string | Formatter)[] = [];
  const flag = /%([-=]?)(\d{0,3})(!?)(.)/gs;
  let end = 0;
  for (let found = flag.exec(format); found !== null; found = flag.exec(format)) {
    const [whole, align, width, cut, name] = found;
    // `%!t` without a width is the flag `!` (source function) followed by text.
    const render = cut === '!' && width === '' ? FLAGS['!'] : FLAGS[name];
    if (render === undefined) throw new ConfigError(`log format: unknown flag ${whole} in ${JSON.stringify(format)}`);
    if (cut === '!' && width === '') flag.lastIndex -= 1;
    parts.push(format.slice(end, found.index), width === '' ? render : padded(render, align, Number(width), cut === '!'));
    end = flag.lastIndex;
  }
  if (format.slice(end).endsWith('%')) throw new ConfigError(`log format: a single % at the end of ${JSON.stringify(format)}`);
  parts.push(format.slice(end));
  return (line) => {
    let text = '';
    for (const part of parts) text += typeof part === 'string' ? part : part(line);
    return text;
  };
}

function padded(render: Formatter, align: string, width: number, cut: boolean): Formatter {
  return (line) => {
    const text = render(line);
    if (cut && text.length > width) return text.slice(0, width);
    if (align === '-') return text.padEnd(width);
    if (align === '=') return text.padStart(text.length + ((width - text.length) >> 1)).padEnd(width);
    return text.padStart(width);
  };
}

/** `application_log_config.log_format`: a text, or an object whose texts are formats (each line is then one JSON object). */
export type LogFormat = string | { readonly [key: string]: unknown };

function compileJson(format: { readonly [key: string]: unknown }): Formatter {
  const compile = (value: unknown): ((line: Line) => unknown) => {
    if (typeof value === 'string') {
      // `%j` is the message escaped for JSON; the object as a whole is escaped here, so inside it that is the plain message.
      return compileFormat(value.replaceAll('%j', '%v'));
    }
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
      const members = Object.entries(value).map(([key, member]) => [key, compile(member)] as const);
      return (line) => Object.fromEntries(members.map(([key, member]) => [key, member(line)]));
    }
    return () => value;
  };
  const render = compile(format);
  return (line) => JSON.stringify(render(line));
}

/** Where lines go. `write` never throws and never blocks for long. */
export interface LogSink {
  write(line: string): void;
  /** Opens the file anew (after a rotation). */
  reopen(): void;
  /** Writes what waits, for at most `timeoutMs`. */
  flush(timeoutMs: number): Promise<void>;
  close(): void;
}

/**
 * Writes to standard error, or to a file that it appends to. Throws ConfigError where the file cannot be opened; later failures (a full disk) lose
 * lines, are counted, and a line says how many once writing works again.
 */
export class FileSink implements LogSink {
  readonly #path: string | undefined;
  #fd = -1;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #dropped = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `path` undefined: standard error. */
  constructor(path?: string) {
    this.#path = path;
    this.#fd = this.#open();
  }

  write(line: string): void {
    this.#push(Buffer.from(`${line}\n`));
    if (this.#timer === undefined) this.#drain();
  }

  reopen(): void {
    if (this.#path === undefined) return;
    try {
      const fd = this.#open();
      if (this.#fd > 2) closeSync(this.#fd);
      this.#fd = fd;
    } catch (cause) {
      // The old file is still open: losing the log because the new one cannot be opened would be worse.
      this.#push(Buffer.from(`cannot reopen the log: ${(cause as Error).message}\n`));
      this.#drain();
    }
  }

  async flush(timeoutMs: number): Promise<void> {
    const end = Date.now() + timeoutMs;
    this.#drain();
    while (this.#queue.length > 0 && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      this.#drain();
    }
  }

  close(): void {
    clearTimeout(this.#timer);
    if (this.#fd > 2) closeSync(this.#fd);
    this.#fd = -1;
  }

  /**
   * A descriptor of our own in non-blocking mode: setting it on descriptor 2 would change it for everyone who shares the terminal or pipe. A file does not
   * block, and a second descriptor would have an offset of its own: its writes and those of others would overwrite each other.
   */
  #open(): number {
    const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;
    if (this.#path === undefined) {
      try {
        if (fstatSync(2).isFile()) return 2;
        return openSync('/proc/self/fd/2', flags);
      } catch {
        return 2; // a socket, or another user's pipe, cannot be opened by path: use it as it is
      }
    }
    try {
      return openSync(this.#path, flags | constants.O_CREAT, 0o644);
    } catch (cause) {
      throw new ConfigError(`cannot open the log file ${this.#path}: ${(cause as Error).message}`, { cause });
    }
  }

  #push(line: Buffer): void {
    if (this.#queuedBytes + line.length > MAX_QUEUED_LOG_BYTES) {
      this.#dropped++;
      return;
    }
    this.#queue.push(line);
    this.#queuedBytes += line.length;
  }

  #drain(): void {
    if (this.#fd < 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    let written = 0;
    for (const line of this.#queue) {
      try {
        const bytes = writeSync(this.#fd, line);
        this.#queuedBytes -= bytes;
        if (bytes < line.length) {
          this.#queue[written] = line.subarray(bytes);
          break;
        }
        written++;
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EAGAIN') {
          // EPIPE, ENOSPC, EIO: nobody to tell but the counter.
          this.#queuedBytes -= line.length;
          this.#dropped++;
          written++;
          continue;
        }
        break;
      }
    }
    this.#queue.splice(0, written);
    if (this.#queue.length > 0) this.#timer = setTimeout(() => this.#drain(), RETRY_MS).unref();
    else if (this.#dropped > 0) {
      const note = Buffer.from(`${this.#dropped} log lines were dropped\n`);
      this.#dropped = 0;
      try {
        writeSync(this.#fd, note);
      } catch {
        // The target fails still; the next line that gets through is followed by a new count.
      }
    }
  }
}

/** Collects lines; for tests and for programs that embed the proxy. */
export class CallbackSink implements LogSink {
  constructor(readonly callback: (line: string) => void) {}
  write(line: string): void {
    this.callback(line);
  }
  reopen(): void {}
  async flush(): Promise<void> {}
  close(): void {}
}

export interface LogOptions {
  /** Default `info`. */
  readonly level?: LogLevel;
  /** Levels of single components, over `level`. */
  readonly components?: ReadonlyMap<string, LogLevel> | Readonly<Record<string, LogLevel>>;
  /** Default `DEFAULT_LOG_FORMAT`. */
  readonly format?: LogFormat;
  /** Default: standard error. */
  readonly sink?: LogSink;
  /** Number shown by `%t`. Default 0, the main thread. */
  readonly thread?: number;
}

/** One component's voice. `message` may be a function, called only where the level is on. */
export class Logger {
  readonly #hub: LogHub;
  readonly name: string;
  /** Index in LOG_LEVELS below which nothing is written. Kept by the hub. */
  threshold: number;

  /** Use `LogHub.logger`. */
  constructor(hub: LogHub, name: string, threshold: number) {
    this.#hub = hub;
    this.name = name;
    this.threshold = threshold;
  }
  /** The logger of another component of the same thread. */
  component(name: string): Logger {
    return this.#hub.logger(name);
  }
  /** For messages that cost something to make. */
  enabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= this.threshold;
  }
  trace(message: string | (() => string)): void {
    if (this.threshold <= 0) this.#hub.write(0, this.name, message);
  }
  debug(message: string | (() => string)): void {
    if (this.threshold <= 1) this.#hub.write(1, this.name, message);
  }
  info(message: string | (() => string)): void {
    if (this.threshold <= 2) this.#hub.write(2, this.name, message);
  }
  warning(message: string | (() => string)): void {
    if (this.threshold <= 3) this.#hub.write(3, this.name, message);
  }
  error(message: string | (() => string)): void {
    if (this.threshold <= 4) this.#hub.write(4, this.name, message);
  }
  critical(message: string | (() => string)): void {
    if (this.threshold <= 5) this.#hub.write(5, this.name, message);
  }
}

/** All loggers of one thread: their levels, the format and the target. */
export class LogHub {
  readonly #loggers = new Map<string, Logger>();
  readonly #components: Map<string, LogLevel>;
  readonly #format: Formatter;
  readonly #sink: LogSink;
  readonly #thread: number;
  #level: LogLevel;

  /** Throws ConfigError on a bad format. */
  constructor(options: LogOptions = {}) {
    const { components = {}, format = DEFAULT_LOG_FORMAT } = options;
    this.#level = options.level ?? 'info';
    this.#components = new Map(components instanceof Map ? components : Object.entries(components));
    this.format = format;
    this.#format = typeof format === 'string' ? compileFormat(format) : compileJson(format);
    this.#sink = options.sink ?? new FileSink();
    this.#thread = options.thread ?? 0;
  }

  /** The logger of a component; the same object each time. */
  logger(name: string): Logger {
    let logger = this.#loggers.get(name);
    if (logger === undefined) {
      logger = new Logger(this, name, LOG_LEVELS.indexOf(this.#components.get(name) ?? this.#level));
      this.#loggers.set(name, logger);
    }
    return logger;
  }
  /** As given, or the default. */
  readonly format: LogFormat;
  /** The level of components that have none of their own. */
  get level(): LogLevel {
    return this.#level;
  }
  /** Gives every component this level. */
  setLevel(level: LogLevel): void {
    this.#level = level;
    this.#components.clear();
    for (const logger of this.#loggers.values()) logger.threshold = LOG_LEVELS.indexOf(level);
  }
  /** Gives one component a level of its own. */
  setComponentLevel(name: string, level: LogLevel): void {
    this.#components.set(name, level);
    const logger = this.#loggers.get(name);
    if (logger !== undefined) logger.threshold = LOG_LEVELS.indexOf(level);
  }
  /** Level of every known component, and of those in use beyond Envoy's list, by name. */
  levels(): Map<string, LogLevel> {
    const names = new Set<string>([...LOG_COMPONENTS, ...this.#loggers.keys(), ...this.#components.keys()]);
    return new Map([...names].sort().map((name) => [name, this.#components.get(name) ?? this.#level]));
  }
  /** Formats and writes one line, whatever the levels are. */
  write(level: number, name: string, message: string | (() => string)): void {
    const text = typeof message === 'string' ? message : message();
    this.#sink.write(this.#format({ time: new Date(), level, name, thread: this.#thread, text }));
  }
  reopen(): void {
    this.#sink.reopen();
  }
  /** Writes what waits, for at most `timeoutMs`. */
  flush(timeoutMs = 1000): Promise<void> {
    return this.#sink.flush(timeoutMs);
  }
  close(): void {
    this.#sink.close();
  }
}

/** A logger that says nothing. */
export function silentLogger(): Logger {
  return new LogHub({ level: 'off', sink: new CallbackSink(() => {}) }).logger('main');
}

/** Reads `a:debug,b:info`. Throws ConfigError naming what is wrong; names that no component has are kept: they do no harm. */
export function parseComponentLevels(text: string): Map<string, LogLevel> {
  const levels = new Map<string, LogLevel>();
  for (const part of text.split(',').filter((item) => item !== '')) {
    const [name, level, rest] = part.split(':');
    const parsed = level === undefined ? undefined : parseLogLevel(level);
    if (parsed === undefined || rest !== undefined || name === '') {
      throw new ConfigError(`component log level ${JSON.stringify(part)}: expected component:level with a level of ${LOG_LEVELS.join(', ')}`);
    }
    levels.set(name, parsed);
  }
  return levels;
}
