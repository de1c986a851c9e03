import type { Engine, Profile, ProfileOptions } from '../../network/engine.js';

/** Engine profiles by content: an engine keeps a profile for ever, so that a configuration applied again and again must not make new ones. */
export class Profiles {
  readonly #engine: Engine;
  readonly #known = new Map<string, Profile>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }
  get(options: ProfileOptions): Profile {
    const framing = typeof options.framing === 'string' ? options.framing : `codec:${options.framing.name}`;
    const key = JSON.stringify({ ...options, framing });
    let profile = this.#known.get(key);
    if (profile === undefined) {
      profile = this.#engine.profile(options);
      this.#known.set(key, profile);
    }
    return profile;
  }
}
