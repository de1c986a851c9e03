import type { Edits } from '../../protocol/edits.js';
import type { Head } from '../../protocol/head.js';
import type { LogRecord } from '../access-log/access-log.js';

/** Header changes of a route, virtual host, table or weighted cluster, compiled. Lines are dropped or replaced first, then added. */
export interface HeaderMutation {
  /** Drops and replaces lines. Called before any `append`. */
  change(head: Head, edits: Edits, record: LogRecord): void;
  /** Adds lines. */
  append(head: Head, edits: Edits, record: LogRecord): void;
}
