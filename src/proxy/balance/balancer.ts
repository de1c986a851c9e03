/** What a balancer needs to know of a host. */
export interface Candidate {
  /** Share of the load relative to the other hosts, >= 1. */
  readonly weight: number;
  /** Requests (or connections of a TCP proxy) in flight to it from this worker. */
  readonly active: number;
}

/** Chooses among a fixed set of hosts. Made anew when the set changes; `pick` allocates nothing. */
export interface Balancer<H extends Candidate> {
  /** A host; undefined where the set is empty. */
  pick(): H | undefined;
}

/** 0 <= r < 1. */
export type Random = () => number;

export interface BalancerOptions {
  readonly random: Random;
  /** Draws of LEAST_REQUEST, >= 2. */
  readonly choiceCount: number;
}

/** True where all weights are equal, so that weights need no bookkeeping. */
export const isUniform = (hosts: readonly Candidate[]): boolean => hosts.every((host) => host.weight === hosts[0].weight);
