#!/usr/bin/env node
/** The command's entry: puts the layers together and hands over to `src/cli`. */
import { writeSync } from 'node:fs';
import { main } from './cli/main.js';
import { packageVersion } from './version.js';

/** Whole texts of the command itself (help, problems): short, and written before the process ends. */
const print = (fd: number) => (text: string) => {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      else if (code === 'EPIPE') return;
      else throw cause;
    }
  }
};

process.exitCode = await main(process.argv.slice(2), {
  version: packageVersion(),
  workerEntry: new URL('./worker.js', import.meta.url),
  codecs: new URL('../codecs/', import.meta.url),
  out: print(1),
  err: print(2),
});
process.exit();
