import type { CloseReason, ConnectionHandler, ConnectOptions, Engine } from '../../network/engine.js';
import { FORWARD } from '../../network/engine.js';
import { ByteWriter } from '../../protocol/byte-writer.js';
import type { Edits } from '../../protocol/edits.js';
import type { Head } from '../../protocol/head.js';
import type { Probe, ProbeOwner, ProbeResult } from './health-check.js';

/** What is asked of a host, and what its answer means. */
export interface Question {
  readonly isHttp2: boolean;
  /** Writes the request's head into empty edits, and gives its body. */
  ask(edits: Edits): Uint8Array | undefined;
  /** What the head alone says; undefined: the rest has to be seen. */
  judgeHead(head: Head): ProbeResult | undefined;
  /** What the whole answer says. `trailers`: lines, each with its CRLF. */
  judge(body: Uint8Array, trailers: Uint8Array): ProbeResult;
}

/** Answers are small: what is longer is cut off, and means nothing good. */
const MAX_ANSWER_BYTES = 4096;

/** Asks a host with a request, in HTTP/1 or HTTP/2, on a connection that nothing else goes over. */
export class MessageProbe implements Probe, ConnectionHandler {
  readonly #engine: Engine;
  readonly #edits: Edits;
  readonly #connect: ConnectOptions;
  readonly #question: Question;
  readonly #reuses: boolean;
  readonly #owner: ProbeOwner;
  #connection = 0;
  #isReady = false;
  #isLeaving = false;
  #call: Call | undefined = undefined;
  /** A check waits for the connection. */
  #waits = false;

  /** `connect`: its profile is an upstream one of the question's protocol. `reuses`: one connection for all checks. */
  constructor(engine: Engine, edits: Edits, connect: ConnectOptions, question: Question, reuses: boolean, owner: ProbeOwner) {
    this.#engine = engine;
    this.#edits = edits;
    this.#connect = connect;
    this.#question = question;
    this.#reuses = reuses;
    this.#owner = owner;
  }
  start(): void {
    if (this.#isLeaving) this.#drop();
    this.#waits = true;
    if (this.#connection === 0) this.#connection = this.#engine.connect(this.#connect, this);
    else if (this.#isReady) this.#ask();
  }
  cancel(): void {
    this.#waits = false;
    this.#call = undefined;
    // What did not answer in time may not answer the next time either.
    this.#drop();
  }
  close(): void {
    this.cancel();
  }

  // ---- the connection, and of HTTP/1 its answers ------------------------------------------------------------------------------------------

  onConnected(connection: number): void {
    if (!this.#question.isHttp2) this.#ready(connection);
  }
  onStreamLimit(connection: number, streams: number): void {
    if (streams > 0) this.#ready(connection);
  }
  #ready(connection: number): void {
    if (connection !== this.#connection) return;
    this.#isReady = true;
    if (this.#waits) this.#ask();
  }
  onGoAway(connection: number): void {
    if (connection === this.#connection) this.#isLeaving = true;
  }
  onHead(connection: number, head: Head): void {
    this.#of(connection)?.onHead(connection, head);
  }
  onBody(connection: number, bytes: Uint8Array): void {
    this.#of(connection)?.onBody(connection, bytes);
  }
  onTrailers(connection: number, trailers: Uint8Array): void {
    this.#of(connection)?.onTrailers(connection, trailers);
  }
  onEnd(connection: number, _bytes: number, flags: number): void {
    const call = this.#of(connection);
    if (call === undefined || this.#question.isHttp2) return;
    if ((flags & FORWARD.REUSABLE) === 0) this.#isLeaving = true;
    this.ended(call);
  }
  onFault(connection: number): void {
    if (connection === this.#connection && !this.#question.isHttp2) this.#engine.close(connection, 'now');
  }
  onClosed(connection: number): void {
    if (connection !== this.#connection) return;
    const call = this.#of(connection);
    this.#forget();
    if (call !== undefined) this.ended(call);
    else if (this.#waits) this.#end('network');
  }
  #of(connection: number): Call | undefined {
    return connection === this.#connection ? this.#call : undefined;
  }

  #ask(): void {
    this.#waits = false;
    const call = new Call(this, this.#engine, this.#question);
    this.#call = call;
    const handle = this.#question.isHttp2 ? this.#engine.openStream(this.#connection, call) : this.#connection;
    const edits = this.#edits.reset();
    const body = this.#question.ask(edits);
    if (handle !== 0 && this.#engine.request(handle, edits, body)) return;
    // It goes, or its ids are used up: the next check has a new one. Told later, as every result is.
    this.#call = undefined;
    this.#waits = true;
    this.#isReady = false;
    this.#engine.close(this.#connection, 'now');
  }
  /** The call has ended, with what it has found. */
  ended(call: Call): void {
    if (call === this.#call) this.#end(call.result);
  }
  #end(result: ProbeResult): void {
    this.#waits = false;
    this.#call = undefined;
    if (!this.#reuses || this.#isLeaving) this.#drop();
    this.#owner.probed(result);
  }
  #drop(): void {
    const connection = this.#connection;
    this.#forget();
    if (connection !== 0) this.#engine.close(connection, 'now');
  }
  #forget(): void {
    this.#connection = 0;
    this.#isReady = false;
    this.#isLeaving = false;
  }
}

/** One check: of HTTP/2 the handler of its stream. */
class Call implements ConnectionHandler {
  result: ProbeResult = 'network';
  readonly #probe: MessageProbe;
  readonly #engine: Engine;
  readonly #question: Question;
  readonly #answer = new ByteWriter();
  #isJudged = false;

  constructor(probe: MessageProbe, engine: Engine, question: Question) {
    this.#probe = probe;
    this.#engine = engine;
    this.#question = question;
  }
  onHead(from: number, head: Head): void {
    if (head.status >= 200) {
      const judged = this.#question.judgeHead(head);
      if (judged !== undefined) {
        this.result = judged;
        this.#isJudged = true;
      }
    }
    this.#engine.show(from);
  }
  onBody(from: number, bytes: Uint8Array): void {
    if (this.#answer.length + bytes.length <= MAX_ANSWER_BYTES) {
      this.#answer.bytes(bytes);
      return;
    }
    // Its connection or stream goes with it.
    if (!this.#isJudged) this.result = 'unhealthy';
    this.#isJudged = true;
    this.#engine.close(from, 'now');
  }
  onTrailers(_from: number, trailers: Uint8Array): void {
    if (!this.#isJudged) this.result = this.#question.judge(this.#answer.view, trailers);
    this.#isJudged = true;
  }
  onFault(from: number): void {
    this.#engine.close(from, 'now');
  }
  onClosed(_stream: number, _reason: CloseReason): void {
    this.#probe.ended(this);
  }
}
