import type { Codec } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import type { HeadView } from '../../protocol/head.js';
import type { KnownName } from '../../protocol/head-layout.js';

/**
 * A frame as routing, retries and logs see a message: `:authority` is the service, `:method` the method, `:path` is `/service/method`, headers are the entries of its
 * header map (found without regard to case, as HTTP's are). One instance serves all frames of a worker, each during its callback.
 */
export class RpcView implements HeadView {
  #codec: Codec | undefined;
  #frame: Frame | undefined;
  #service: string | undefined;
  #method: string | undefined;
  #entries: (readonly [name: string, value: string])[] | undefined;
  isResponse = false;
  status = 0;

  /** Shows another frame. */
  of(codec: Codec, frame: Frame, isResponse: boolean, status: number): this {
    this.#codec = codec;
    this.#frame = frame;
    this.#service = undefined;
    this.#method = undefined;
    this.#entries = undefined;
    this.isResponse = isResponse;
    this.status = status;
    return this;
  }
  get service(): string {
    this.#service ??= (this.#frame && this.#codec?.service?.(this.#frame)) ?? '';
    return this.#service;
  }
  get method(): string {
    this.#method ??= (this.#frame && this.#codec?.method?.(this.#frame)) ?? '';
    return this.#method;
  }
  get path(): string {
    return `/${this.service}/${this.method}`;
  }
  get authority(): string | undefined {
    return this.service;
  }
  get version(): string {
    return this.#codec?.name ?? '';
  }
  get wireBytes(): number {
    return this.#frame?.length ?? 0;
  }
  get(name: string): string | undefined {
    return this.#lines().find(([entry]) => entry === name)?.[1];
  }
  getAll(name: string): string | undefined {
    const found = this.#lines().filter(([entry]) => entry === name);
    return found.length === 0 ? undefined : found.map(([, value]) => value).join(',');
  }
  indexOf(name: string, from = 0): number {
    return this.#lines().findIndex(([entry], index) => index >= from && entry === name);
  }
  known(name: KnownName): string | undefined {
    return this.get(name);
  }
  /** A copy that outlives the callback. */
  retain(): RpcView {
    const copy = new RpcView();
    if (this.#codec !== undefined && this.#frame !== undefined) copy.of(this.#codec, this.#frame.retain(), this.isResponse, this.status);
    return copy;
  }
  #lines(): readonly (readonly [name: string, value: string])[] {
    if (this.#entries === undefined) {
      const headers = this.#frame && this.#codec?.headers?.(this.#frame);
      this.#entries = headers === undefined ? [] : Array.from(headers.entries(), ([name, value]) => [name.toLowerCase(), value] as const);
    }
    return this.#entries;
  }
}
