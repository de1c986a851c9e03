import type { Codec } from '../../protocol/codec.js';
import type { Frame } from '../../protocol/frame.js';
import type { HeadView } from '../../protocol/head.js';
import type { KnownName } from '../../protocol/head-layout.js';

type Entries = readonly (readonly [name: string, value: string])[];

/**
 * A frame as routing, retries and logs see a message: `:authority` is the service, `:method` the method, `:path` is `/service/method`, headers are the entries of its
 * header map (found without regard to case, as HTTP's are). Values hold one character for each byte of their UTF-8, as those of HTTP do. One instance
 * serves all frames of a worker, each during its callback.
 */
export class RpcView implements HeadView {
  #codec: Codec | undefined;
  #frame: Frame | undefined;
  #service: string | undefined;
  #method: string | undefined;
  #entries: Entries | undefined;
  #bytes = 0;
  isResponse = false;
  status = 0;

  /** Shows another frame. */
  of(codec: Codec, frame: Frame, isResponse: boolean, status: number): this {
    this.#codec = codec;
    this.#frame = frame;
    this.#service = undefined;
    this.#method = undefined;
    this.#entries = undefined;
    this.#bytes = frame.length;
    this.isResponse = isResponse;
    this.status = status;
    return this;
  }
  get service(): string {
    this.#service ??= bytesText((this.#frame && this.#codec?.service?.(this.#frame)) ?? '');
    return this.#service;
  }
  get method(): string {
    this.#method ??= bytesText((this.#frame && this.#codec?.method?.(this.#frame)) ?? '');
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
    return this.#bytes;
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
  /** A copy that outlives the callback: of what can be asked for, not of the frame. */
  retain(): RpcView {
    const copy = new RpcView();
    copy.#codec = this.#codec;
    copy.#service = this.isResponse ? '' : this.service;
    copy.#method = this.isResponse ? '' : this.method;
    copy.#entries = this.#lines();
    copy.#bytes = this.#bytes;
    copy.isResponse = this.isResponse;
    copy.status = this.status;
    return copy;
  }
  #lines(): Entries {
    if (this.#entries === undefined) {
      const headers = this.#frame && this.#codec?.headers?.(this.#frame);
      this.#entries = headers === undefined ? [] : Array.from(headers.entries(), ([name, value]) => [name.toLowerCase(), bytesText(value)] as const);
    }
    return this.#entries;
  }
}

/** Text with one character for each byte. */
function bytesText(text: string): string {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.from(text, 'utf8').toString('latin1');
  return text;
}
