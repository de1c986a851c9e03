/**
 * Stream filters, composed once when a configuration is taken: chain = a(b(router)).
 * ```
 *   request   head, body, end  ─> a ─> b ─> router ─> upstream
 *   response  head, body, end  <─ a <─ b <─ router <─ upstream, or a local reply
 * ```
 * A filter sees the head of each request once (`open`), and gives an object that acts on the stream, or undefined: then nothing was allocated, and it is asked
 * nothing more. What that object wants, it says by the methods it has: a body goes through JavaScript only where one of them has `onRequestBody` or
 * `onResponseBody` (EDIT_FLAG.SHOW_BODY), its end is told only where one has `onRequestEnd` or `onResponseEnd` (SHOW_TRAILERS). Everything else moves in the engine.
 *
 * `onRequestHead` may stop: the stream waits, with its head kept by the engine and its body within the window, until `resume` or `reply`. Changes of a head are
 * made each time it is sent (a retry sends it again): lines in place first (`changeRequest`), then what is added (`appendRequest`), as `Edits` wants it.
 * Of a message that its head ends, nothing is told after the head. Where nobody wants a body, its trailers go on by themselves: they can be read, not changed.
 */
import type { StatsStore } from '../../../base/stats.js';
import type { Edits } from '../../../protocol/edits.js';
import type { Head } from '../../../protocol/head.js';
import type { Exchange } from '../exchange.js';

/** What `onRequestHead` and `onResponseHead` answer. */
export const VERDICT = {
  CONTINUE: 0,
  /** A request: until `FilterCall.resume` or `reply`. A response: the filter keeps it, and gives one of its own with `respond`. */
  STOP: 1,
} as const;
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT];

/** An answer made here, before it is written: filters may change all of it. */
export interface LocalReply {
  status: number;
  body: Uint8Array | undefined;
  /** Of the body, or of a gRPC answer without one; empty: none. */
  contentType: string;
  /** Of an answer to a gRPC request; -1: it is none. */
  grpcStatus: number;
  /** Further lines. */
  readonly headers: [name: string, value: string][];
}

/** A stream as its filters see it. */
export interface FilterCall {
  /** What is known of request and response so far. Filters read it; what they may write is said there. */
  readonly exchange: Exchange;
  /** In `onRequestEnd` and `onResponseEnd`: the trailers, lines each with its CRLF; what is put here goes on instead. */
  trailers: Uint8Array;
  /** Goes on after STOP, with the next filter. May be called at any time; a stream that is over ignores it. */
  resume(): void;
  /** Answers the request here, at any time; a response that has begun is cut off instead. */
  reply(reply: LocalReply, details: string): void;
  /** What the client gets in place of a response that was stopped: in `onResponseEnd` at the latest. It goes out as it is. */
  respond(reply: LocalReply): void;
}

/** What one filter does to one stream. Each method it has is one thing it wants; see the head of this file. */
export interface StreamFilter {
  onRequestHead?(call: FilterCall, head: Head): Verdict;
  changeRequest?(call: FilterCall, head: Head, edits: Edits): void;
  appendRequest?(call: FilterCall, head: Head, edits: Edits): void;
  /** Gives what goes on in place of these bytes, which are good until it returns; undefined: nothing yet. */
  onRequestBody?(call: FilterCall, bytes: Uint8Array): Uint8Array | undefined;
  /** Gives what is to come after all of the body; undefined: nothing. */
  onRequestEnd?(call: FilterCall): Uint8Array | undefined;
  /** The head of the final response. */
  onResponseHead?(call: FilterCall, head: Head): Verdict | undefined;
  changeResponse?(call: FilterCall, head: Head, edits: Edits): void;
  appendResponse?(call: FilterCall, head: Head, edits: Edits): void;
  onResponseBody?(call: FilterCall, bytes: Uint8Array): Uint8Array | undefined;
  onResponseEnd?(call: FilterCall): Uint8Array | undefined;
  onLocalReply?(call: FilterCall, reply: LocalReply): void;
  /** The stream is over, however it ended; `exchange` has what became of it. */
  onStreamEnd?(call: FilterCall): void;
}

/** A configured filter. */
export interface HttpFilter {
  /** See the head of this file. */
  open(exchange: Exchange, head: Head): StreamFilter | undefined;
}
/** What filters are made with, in each worker. */
export interface FilterContext {
  readonly stats: StatsStore;
  /** `http.<stat_prefix>.` of the manager. */
  readonly statPrefix: string;
}
/** One of `http_filters`, compiled: plain data and a maker, so that each worker has filters of its own. */
export interface HttpFilterConfig {
  /** Under which routes name it in `typed_per_filter_config`. */
  readonly name: string;
  /** Off, where a route does not switch it on. */
  readonly disabled: boolean;
  create(context: FilterContext): HttpFilter;
}
/** What a route says of a filter: off, or on (also where the manager has it off). */
export interface FilterOverride {
  readonly disabled: boolean;
}
/** By name of the filter. One object for all routes that say the same, so that it can be a key. */
export type FilterOverrides = ReadonlyMap<string, FilterOverride>;

/** The filters of a manager before its router. One for the manager, and one for each set of overrides that its routes have. */
export class FilterChains {
  readonly #filters: readonly { readonly config: HttpFilterConfig; readonly filter: HttpFilter }[];
  /** The chain of routes that say nothing; undefined: the router alone. */
  readonly #plain: readonly HttpFilter[] | undefined;
  readonly #overridden = new WeakMap<FilterOverrides, { readonly filters: readonly HttpFilter[] | undefined }>();

  constructor(configs: readonly HttpFilterConfig[], context: FilterContext) {
    this.#filters = configs.map((config) => ({ config, filter: config.create(context) }));
    this.#plain = this.#select(undefined);
  }
  /** True where no route has a filter but the router. */
  get isEmpty(): boolean {
    return this.#filters.length === 0;
  }
  /** The filters of a route; undefined: the router alone. */
  of(overrides: FilterOverrides | undefined): readonly HttpFilter[] | undefined {
    if (overrides === undefined || this.#filters.length === 0) return this.#plain;
    let known = this.#overridden.get(overrides);
    if (known === undefined) {
      known = { filters: this.#select(overrides) };
      this.#overridden.set(overrides, known);
    }
    return known.filters;
  }
  #select(overrides: FilterOverrides | undefined): readonly HttpFilter[] | undefined {
    const selected = this.#filters.filter(({ config }) => !(overrides?.get(config.name)?.disabled ?? config.disabled));
    return selected.length === 0 ? undefined : selected.map(({ filter }) => filter);
  }
}

/** Who owns a stream with filters: the life of the request. */
export interface FilterOwner {
  readonly exchange: Exchange;
  /** All filters have let the request's head go on, after one had stopped it. */
  filtersResumed(): void;
  /** A filter answers the request. */
  filterReplies(reply: LocalReply, details: string): void;
}

const NOTHING = new Uint8Array(0);

/** The filters that act on one stream; made only where there is one. Request order is the order of the configuration, response order its reverse. */
export class ActiveFilters implements FilterCall {
  readonly #owner: FilterOwner;
  readonly #filters: readonly StreamFilter[];
  trailers: Uint8Array = NOTHING;
  /** What a filter gives in place of a response that it has kept. */
  response: LocalReply | undefined = undefined;
  /** The filter that keeps the response; 0: none does, or the last one does. */
  #keeper = 0;
  /** The filter that has the request's head; as many as there are: it has gone on. */
  #at = 0;
  #stopped = false;
  #inHead = false;
  /** Resumed before it had answered STOP. */
  #resumed = false;
  #over = false;
  readonly wantsRequestBody: boolean;
  readonly wantsRequestEnd: boolean;
  readonly wantsResponseBody: boolean;
  readonly wantsResponseEnd: boolean;

  private constructor(owner: FilterOwner, filters: readonly StreamFilter[]) {
    this.#owner = owner;
    this.#filters = filters;
    this.wantsRequestBody = filters.some((filter) => filter.onRequestBody !== undefined);
    this.wantsRequestEnd = filters.some((filter) => filter.onRequestEnd !== undefined);
    this.wantsResponseBody = filters.some((filter) => filter.onResponseBody !== undefined);
    this.wantsResponseEnd = filters.some((filter) => filter.onResponseEnd !== undefined);
  }
  /** Asks each filter of a chain; undefined where none acts on this stream. */
  static open(chain: readonly HttpFilter[], owner: FilterOwner, head: Head): ActiveFilters | undefined {
    let filters: StreamFilter[] | undefined;
    for (const filter of chain) {
      const opened = filter.open(owner.exchange, head);
      if (opened === undefined) continue;
      if (filters === undefined) filters = [opened];
      else filters.push(opened);
    }
    return filters === undefined ? undefined : new ActiveFilters(owner, filters);
  }

  get exchange(): Exchange {
    return this.#owner.exchange;
  }

  /** The request's head, to the filters that have not seen it. True: it may go on. */
  requestHead(head: Head): boolean {
    this.#inHead = true;
    this.#stopped = false;
    while (this.#at < this.#filters.length && !this.#over) {
      this.#resumed = false;
      const verdict = this.#filters[this.#at].onRequestHead?.(this, head) ?? VERDICT.CONTINUE;
      this.#at++;
      if (verdict === VERDICT.STOP && !this.#resumed) {
        this.#stopped = true;
        break;
      }
    }
    this.#inHead = false;
    return !this.#stopped && !this.#over;
  }
  resume(): void {
    if (this.#inHead) this.#resumed = true;
    else if (this.#stopped && !this.#over) this.#owner.filtersResumed();
  }
  reply(reply: LocalReply, details: string): void {
    if (!this.#over) this.#owner.filterReplies(reply, details);
  }

  changeRequest(head: Head, edits: Edits): void {
    for (const filter of this.#filters) filter.changeRequest?.(this, head, edits);
  }
  appendRequest(head: Head, edits: Edits): void {
    for (const filter of this.#filters) filter.appendRequest?.(this, head, edits);
  }
  requestBody(bytes: Uint8Array): Uint8Array | undefined {
    return this.#through(bytes, 0, REQUEST);
  }
  /** Gives the last bytes of the body; the trailers are in `trailers` then. */
  requestEnd(trailers: Uint8Array): Uint8Array | undefined {
    this.trailers = trailers;
    return this.#end(REQUEST);
  }

  /** False: a filter keeps the response; those after it do not see it, but `response` when it is over. */
  responseHead(head: Head): boolean {
    this.#keeper = 0;
    for (let i = this.#filters.length - 1; i >= 0; i--) {
      if (this.#filters[i].onResponseHead?.(this, head) !== VERDICT.STOP) continue;
      this.#keeper = i;
      return false;
    }
    return true;
  }
  respond(reply: LocalReply): void {
    this.response = reply;
  }
  changeResponse(head: Head, edits: Edits): void {
    for (let i = this.#filters.length - 1; i >= 0; i--) this.#filters[i].changeResponse?.(this, head, edits);
  }
  appendResponse(head: Head, edits: Edits): void {
    for (let i = this.#filters.length - 1; i >= 0; i--) this.#filters[i].appendResponse?.(this, head, edits);
  }
  responseBody(bytes: Uint8Array): Uint8Array | undefined {
    return this.#through(bytes, 0, RESPONSE);
  }
  responseEnd(trailers: Uint8Array): Uint8Array | undefined {
    this.trailers = trailers;
    return this.#end(RESPONSE);
  }

  localReply(reply: LocalReply): void {
    for (let i = this.#filters.length - 1; i >= 0; i--) this.#filters[i].onLocalReply?.(this, reply);
  }
  streamEnd(): void {
    if (this.#over) return;
    this.#over = true;
    for (const filter of this.#filters) filter.onStreamEnd?.(this);
  }

  /** Bytes of a body through the filters from the `from`th of its direction on. */
  #through(bytes: Uint8Array, from: number, way: Way): Uint8Array | undefined {
    const filters = this.#filters;
    let current: Uint8Array | undefined = bytes;
    for (let i = from; i < filters.length && current !== undefined; i++) {
      const filter = filters[way === REQUEST ? i : filters.length - 1 - i];
      if (way === RESPONSE && filters.length - 1 - i < this.#keeper) break;
      const has = way === REQUEST ? filter.onRequestBody !== undefined : filter.onResponseBody !== undefined;
      if (has) current = way === REQUEST ? filter.onRequestBody?.(this, current) : filter.onResponseBody?.(this, current);
    }
    return current;
  }
  /** The end, through each filter in turn: what one adds to the body goes through those after it, before they learn of the end themselves. */
  #end(way: Way): Uint8Array | undefined {
    const filters = this.#filters;
    let last: Uint8Array | undefined;
    for (let i = 0; i < filters.length; i++) {
      const filter = filters[way === REQUEST ? i : filters.length - 1 - i];
      if (way === RESPONSE && filters.length - 1 - i < this.#keeper) break;
      const added = way === REQUEST ? filter.onRequestEnd?.(this) : filter.onResponseEnd?.(this);
      if (added === undefined || added.length === 0) continue;
      const passed = this.#through(added, i + 1, way);
      last = last === undefined ? passed : passed === undefined ? last : joined(last, passed);
    }
    return last;
  }
}

const REQUEST = 0;
const RESPONSE = 1;
type Way = typeof REQUEST | typeof RESPONSE;

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
