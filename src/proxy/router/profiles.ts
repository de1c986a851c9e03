import type { Counter } from '../../base/stats.js';
import type { Engine, Profile, ProfileOptions } from '../../network/engine.js';

/** Engine profiles by content: an engine keeps a profile for ever, so that a configuration applied again and again must not make new ones. */
export class Profiles {
  readonly #engine: Engine;
  readonly #known = new Map<string, Profile>();
  readonly #slabs: Float64Array[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }
  get(options: ProfileOptions): Profile {
    const framing = typeof options.framing === 'string' ? options.framing : `codec:${options.framing.name}`;
    const { wire } = options;
    const key = JSON.stringify({
      ...options,
      framing,
      streamOptions: options.streamOptions?.join(),
      wire: wire && [this.#cell(wire.received), this.#cell(wire.sent)],
    });
    let profile = this.#known.get(key);
    if (profile === undefined) {
      profile = this.#engine.profile(options);
      this.#known.set(key, profile);
    }
    return profile;
  }
  /** Which statistic a counter is. */
  #cell({ cells, index }: Counter): string {
    let slab = this.#slabs.indexOf(cells);
    if (slab < 0) slab = this.#slabs.push(cells) - 1;
    return `${slab}:${index}`;
  }
}
