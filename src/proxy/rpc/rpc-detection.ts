import type { ConnectionHandler } from '../../network/engine.js';
import { type Detectable, detect, MAX_DETECT_BYTES } from '../../protocol/detect.js';
import type { TimerOwner } from '../../stream/timers.js';
import type { RpcManager } from './rpc-manager.js';

/** The listener, while the protocol of a connection is found out. */
export interface DetectionHome {
  /** The verdict, one of the manager's candidates; undefined: none of them. */
  detected(detection: RpcDetection, found: Detectable | undefined): void;
  /** The connection is gone. */
  detectionEnded(detection: RpcDetection): void;
}

/** A connection that may speak one of several protocols, until its first bytes have said which. Bounded in bytes and time, and by the peer's FIN. */
export class RpcDetection implements ConnectionHandler, TimerOwner {
  readonly handle: number;
  readonly manager: RpcManager;
  readonly #home: DetectionHome;
  #bytes: Uint8Array = new Uint8Array(0);
  #timer = 0;
  #done = false;

  constructor(home: DetectionHome, manager: RpcManager, handle: number) {
    this.#home = home;
    this.manager = manager;
    this.handle = handle;
    const { wheel, now } = manager.context;
    const { detectTimeoutMs } = manager.config;
    if (detectTimeoutMs > 0) this.#timer = wheel.start(now + detectTimeoutMs, this, 0);
  }
  onPeek(_connection: number, bytes: Uint8Array, ended: boolean): void {
    if (this.#done) return;
    this.#bytes = bytes.slice(0, MAX_DETECT_BYTES);
    this.#decide(ended);
  }
  onTimer(_kind: number, now: number): void {
    this.manager.context.timerFired(now);
    this.#timer = 0;
    if (this.#done) return;
    this.manager.stats.cxDetectTimeout.inc();
    this.#decide(true);
  }
  onClosed(): void {
    this.manager.context.wheel.stop(this.#timer);
    if (this.#done) return;
    this.#done = true;
    this.#home.detectionEnded(this);
  }
  #decide(final: boolean): void {
    const { candidates, context, stats } = this.manager;
    const found = detect(candidates, this.#bytes, final);
    if (found === 'more') return;
    this.#done = true;
    context.wheel.stop(this.#timer);
    if (found !== 'none' && found.ambiguous) stats.cxAmbiguous.inc();
    this.#home.detected(this, found === 'none' ? undefined : found.codec);
  }
}
