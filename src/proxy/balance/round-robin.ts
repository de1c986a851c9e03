import { type Balancer, type BalancerOptions, type Candidate, isUniform } from './balancer.js';
import { EdfScheduler } from './edf-scheduler.js';

/** Hosts in turn, in proportion to their weights. Starts at a random host, so that workers and restarts do not all begin with the first. */
export function roundRobin<H extends Candidate>(hosts: readonly H[], { random }: BalancerOptions): Balancer<H> {
  if (isUniform(hosts)) {
    let next = Math.floor(random() * hosts.length);
    return {
      pick() {
        if (next >= hosts.length) next = 0;
        return hosts[next++];
      },
    };
  }
  const schedule = new EdfScheduler(hosts.length, (index) => hosts[index].weight, random);
  return { pick: () => hosts[schedule.pick()] };
}
