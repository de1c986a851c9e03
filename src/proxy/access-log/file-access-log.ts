import { close, open, write } from 'node:fs';
import type { Counter, StatsStore } from '../../base/stats.js';

/** A file that takes lines without ever making the caller wait. Shared by all access logs with the same path. */
export interface LogFile {
  readonly path: string;
  /** Takes text of one character per byte (latin1). Dropped, and counted, where the buffer is full. */
  write(text: string): void;
  /** Opens the path again, after log rotation; what was taken before goes to the old file. */
  reopen(): void;
  /** Resolves when everything taken so far was written or dropped. */
  flush(): Promise<void>;
  /** Flushes and closes. Lines written afterwards are dropped. */
  close(): Promise<void>;
}

/** Makes the file of a path, or gives the one that is there. Passed to whoever logs. */
export type CreateFileLog = (path: string) => LogFile;

export interface LogFilesOptions {
  readonly stats: StatsStore;
  /** Told of a failure once until a write succeeds again. */
  readonly warn: (text: string) => void;
  /** Written at the latest after so many milliseconds. Default 10,000 (`--file-flush-interval-msec`). */
  readonly flushIntervalMs?: number;
  /** Written as soon as so many bytes wait. Default 64 KiB (`--file-flush-min-size-kb`). */
  readonly flushBytes?: number;
  /** Most bytes that wait while a write is slow; what goes beyond is dropped. Default 4 MiB, at least twice `flushBytes`. */
  readonly maxBufferBytes?: number;
}

interface FileStats {
  /** Writes of the operating system that failed; each has dropped its bytes. */
  readonly writeFailed: Counter;
  /** Lines dropped because the buffer was full or the file closed. */
  readonly dropped: Counter;
  readonly writeCompleted: Counter;
  readonly writeBuffered: Counter;
  readonly writeTotalBuffered: Counter;
  readonly flushedByTimer: Counter;
  readonly reopenFailed: Counter;
}

/**
 * The access log files of one worker. Lines are collected and written by Node's thread pool, one write at a time for each file: a slow or full disk costs
 * lines, never a request. Statistics: `filesystem.*` as Envoy documents, and `filesystem.dropped`.
 */
export class LogFiles {
  readonly #files = new Map<string, FileLog>();
  readonly #options: Required<Omit<LogFilesOptions, 'stats'>>;
  readonly #stats: FileStats;

  constructor({ stats, warn, flushIntervalMs = 10_000, flushBytes = 65_536, maxBufferBytes = 4 * 1024 * 1024 }: LogFilesOptions) {
    this.#options = { warn, flushIntervalMs, flushBytes, maxBufferBytes: Math.max(maxBufferBytes, 2 * flushBytes) };
    this.#stats = {
      writeFailed: stats.counter('filesystem.write_failed'),
      dropped: stats.counter('filesystem.dropped'),
      writeCompleted: stats.counter('filesystem.write_completed'),
      writeBuffered: stats.counter('filesystem.write_buffered'),
      writeTotalBuffered: stats.gauge('filesystem.write_total_buffered'),
      flushedByTimer: stats.counter('filesystem.flushed_by_timer'),
      reopenFailed: stats.counter('filesystem.reopen_failed'),
    };
  }
  /** The `CreateFileLog` to hand on. */
  readonly create: CreateFileLog = (path) => {
    let file = this.#files.get(path);
    if (file === undefined) {
      file = new FileLog(path, this.#options, this.#stats);
      this.#files.set(path, file);
    }
    return file;
  };
  reopen(): void {
    for (const file of this.#files.values()) file.reopen();
  }
  async flush(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.flush()));
  }
  async close(): Promise<void> {
    await Promise.all([...this.#files.values()].map((file) => file.close()));
    this.#files.clear();
  }
}

class FileLog implements LogFile {
  readonly path: string;
  readonly #options: Required<Omit<LogFilesOptions, 'stats'>>;
  readonly #stats: FileStats;
  /** -1: not open. */
  #fd = -1;
  #text = '';
  /** Bytes handed to the operating system and not written yet. */
  #inFlight = 0;
  #isWorking = false;
  #mustReopen = false;
  #isClosed = false;
  #hasFailed = false;
  #timer: NodeJS.Timeout | undefined;
  #waiting: (() => void)[] = [];

  constructor(path: string, options: Required<Omit<LogFilesOptions, 'stats'>>, stats: FileStats) {
    this.path = path;
    this.#options = options;
    this.#stats = stats;
  }

  write(text: string): void {
    if (this.#isClosed || this.#inFlight + this.#text.length + text.length > this.#options.maxBufferBytes) {
      this.#stats.dropped.inc();
      if (!this.#isClosed) this.#fail('the buffer is full: lines are dropped');
      return;
    }
    this.#text += text;
    this.#stats.writeBuffered.inc();
    this.#stats.writeTotalBuffered.inc(text.length);
    if (this.#text.length >= this.#options.flushBytes) this.#work();
    else
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#stats.flushedByTimer.inc();
        this.#work();
      }, this.#options.flushIntervalMs).unref();
  }
  reopen(): void {
    this.#mustReopen = true;
    this.#work();
  }
  flush(): Promise<void> {
    const done = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#work();
    return done;
  }
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.flush();
    if (this.#fd >= 0) close(this.#fd, ignoreError);
    this.#fd = -1;
  }

  /** The next step, if none is under way: open, write what waits, reopen, or tell those who wait. */
  #work(): void {
    if (this.#isWorking) return;
    if (this.#text !== '') {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      if (this.#fd < 0) this.#open();
      else this.#writeOut();
      return;
    }
    if (this.#mustReopen && this.#fd >= 0) {
      close(this.#fd, ignoreError);
      this.#fd = -1;
    }
    this.#mustReopen = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
  #open(): void {
    this.#isWorking = true;
    open(this.path, 'a', 0o644, (error, fd) => {
      this.#isWorking = false;
      if (error === null) this.#fd = fd;
      else {
        this.#stats.reopenFailed.inc();
        this.#drop(this.#take(), error);
      }
      this.#work();
    });
  }
  #writeOut(): void {
    const bytes = Buffer.from(this.#take(), 'latin1');
    this.#inFlight = bytes.length;
    this.#isWorking = true;
    const step = (offset: number) => {
      write(this.#fd, bytes, offset, bytes.length - offset, null, (error, written) => {
        // A non-blocking standard output whose reader is slow: the same bytes again, a little later.
        if (error?.code === 'EAGAIN' && !this.#isClosed) {
          setTimeout(step, 10, offset);
          return;
        }
        if (error === null && offset + written < bytes.length) {
          step(offset + written);
          return;
        }
        this.#isWorking = false;
        this.#inFlight = 0;
        if (error === null) {
          this.#stats.writeCompleted.inc();
          this.#stats.writeTotalBuffered.dec(bytes.length);
          this.#hasFailed = false;
        } else {
          this.#stats.writeTotalBuffered.dec(bytes.length);
          this.#stats.writeFailed.inc();
          this.#fail(error.message);
        }
        this.#work();
      });
    };
    step(0);
  }
  #take(): string {
    const text = this.#text;
    this.#text = '';
    return text;
  }
  #drop(text: string, error: Error): void {
    this.#stats.writeTotalBuffered.dec(text.length);
    this.#stats.writeFailed.inc();
    this.#fail(error.message);
  }
  /** One line in the log for a row of failures. */
  #fail(why: string): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#options.warn(`access log ${this.path}: ${why}`);
  }
}
/** The file is left; that its last close failed changes nothing any more. */
const ignoreError = () => {};
