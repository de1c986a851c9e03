import { type Balancer, type BalancerOptions, type Candidate, isUniform } from './balancer.js';
import { EdfScheduler } from './edf-scheduler.js';

/**
 * Equal weights: the least busy of `choiceCount` hosts drawn at random (power of choices). Else: weighted turns, where a host's weight is divided
 * by its requests in flight + 1 (Envoy, "Load balancers: weighted least request", bias 1).
 */
export function leastRequest<H extends Candidate>(hosts: readonly H[], { random, choiceCount }: BalancerOptions): Balancer<H> {
  if (isUniform(hosts)) {
    return {
      pick() {
        let best = hosts[Math.floor(random() * hosts.length)];
        for (let draw = 1; draw < choiceCount && best !== undefined; draw++) {
          const host = hosts[Math.floor(random() * hosts.length)];
          if (host.active < best.active) best = host;
        }
        return best;
      },
    };
  }
  const schedule = new EdfScheduler(hosts.length, (index) => hosts[index].weight / (hosts[index].active + 1), random);
  return { pick: () => hosts[schedule.pick()] };
}
