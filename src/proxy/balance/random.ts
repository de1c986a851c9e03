import type { Balancer, BalancerOptions, Candidate } from './balancer.js';

/** Any host with equal probability; weights of single hosts do not count (Envoy, "Load balancers: random"). */
export function randomChoice<H extends Candidate>(hosts: readonly H[], { random }: BalancerOptions): Balancer<H> {
  return { pick: () => hosts[Math.floor(random() * hosts.length)] };
}
