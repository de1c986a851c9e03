import type { ConnectionHandler, ConnectOptions, Engine } from '../../network/engine.js';
import type { Probe, ProbeOwner } from './health-check.js';

/** Asks a host for a connection, and no more. */
export class TcpProbe implements Probe, ConnectionHandler {
  readonly #engine: Engine;
  readonly #connect: ConnectOptions;
  readonly #owner: ProbeOwner;
  #connection = 0;

  /** `connect`: its profile is a raw one. */
  constructor(engine: Engine, connect: ConnectOptions, owner: ProbeOwner) {
    this.#engine = engine;
    this.#connect = connect;
    this.#owner = owner;
  }
  start(): void {
    this.#connection = this.#engine.connect(this.#connect, this);
  }
  cancel(): void {
    const connection = this.#connection;
    this.#connection = 0;
    if (connection !== 0) this.#engine.close(connection, 'now');
  }
  close(): void {
    this.cancel();
  }
  onConnected(connection: number): void {
    if (connection !== this.#connection) return;
    this.cancel();
    this.#owner.probed('healthy');
  }
  onClosed(connection: number): void {
    if (connection !== this.#connection) return;
    this.#connection = 0;
    this.#owner.probed('network');
  }
}
