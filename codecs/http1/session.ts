import type { Edits } from '../../src/protocol/edits.js';
import type { BodyFraming, FramingLimits, Input, MessageSession, OutHead, RequestContext, Room, Step } from '../../src/protocol/framing.js';
import type { Head } from '../../src/protocol/head.js';
import { BodyReader } from './body-reader.js';
import { encodeBody, encodeEnd, encodeHead, mostHeadBytes, writeHead } from './encoder.js';
import { HeadParser } from './head-parser.js';

const MORE: Step = { kind: 'more' };

/**
 * One connection's messages: requests read and responses written on the downstream side, the other way round upstream.
 * ```
 *   head ──(next: head)──> pending ──(startBody)──> body ──(next: end)──> head
 * ```
 * Every message has an `end`, also one without a body. The bytes of a head are consumed when it is given; its view stays good as long as they are there.
 */
export class Http1Session implements MessageSession {
  readonly #parser: HeadParser;
  readonly #body = new BodyReader();
  #state: 'head' | 'pending' | 'body' = 'head';
  #head: Head | undefined;
  #reusable = true;

  constructor(side: 'downstream' | 'upstream', limits: FramingLimits) {
    this.#parser = new HeadParser(side === 'upstream', limits);
  }

  next(input: Input): Step {
    if (this.#state === 'pending') throw new Error('http1: next() before startBody()');
    if (this.#state === 'head') {
      const head = this.#parser.parse(input.bytes, input.offset);
      if (head === undefined) return MORE;
      input.offset += this.#parser.skipped + head.wireBytes;
      this.#parser.reset();
      this.#head = head;
      this.#state = 'pending';
      return { kind: 'head', head };
    }
    const step = this.#body.next(input);
    if (step.kind === 'end') this.#state = 'head';
    return step;
  }

  get midMessage(): boolean {
    if (this.#state === 'head') return this.#parser.started;
    return this.#state === 'body' ? this.#body.midMessage : this.#head?.ends === false;
  }

  startBody(request?: RequestContext): BodyFraming {
    const head = this.#head;
    if (this.#state !== 'pending' || head === undefined) throw new Error('http1: startBody() without a head');
    const framing = this.#body.start(head, request);
    const isTunnel = head.status === 101 || (head.isResponse && request?.isConnect === true && head.status >= 200 && head.status < 300);
    this.#reusable = head.keepAlive && framing !== 'until-close' && !isTunnel;
    this.#state = 'body';
    return framing;
  }

  get reusable(): boolean {
    return this.#reusable;
  }

  encodeHead(head: Head | undefined, edits: Edits, out: OutHead): Uint8Array {
    return encodeHead(head, edits, out);
  }
  writeHead(head: Head | undefined, edits: Edits, out: OutHead, room: Room): void {
    writeHead(head, edits, out, room);
  }
  mostHeadBytes(head: Head | undefined, edits: Edits): number {
    return mostHeadBytes(head, edits);
  }
  encodeBody(bytes: Uint8Array, framing: BodyFraming): Uint8Array[] {
    return encodeBody(bytes, framing);
  }
  encodeEnd(trailers: Uint8Array, framing: BodyFraming): Uint8Array {
    return encodeEnd(trailers, framing);
  }
}
