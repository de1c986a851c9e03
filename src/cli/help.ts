import { describeFlags, FLAGS, HELP_WIDTH, VALIDATE_FLAGS, wrapWords } from './arguments.js';
import { codecCommandLines } from './codec/command.js';

/** `sluice --help`. */
export function helpText(version: string): string {
  const noEffect = FLAGS.filter(({ ignored }) => ignored).map(({ name }) => `--${name}`);
  return `sluice ${version}: service-mesh sidecar, gateway and L4/L7 load balancer

Usage
  sluice run -c FILE [flags]               run the proxy (plain "sluice -c FILE" is the same)
  sluice validate FILE [--format json]     check a configuration without opening a socket
${codecCommandLines().join('\n')}

Start
  FILE is an Envoy v3 Bootstrap in YAML or JSON; examples/quickstart.yaml is a small one:
    sluice run -c examples/quickstart.yaml --concurrency 2
    curl localhost:9901/help               what the admin server answers
    sluice validate FILE                   every mistake at once, with line, field and nearest spelling

Private protocols
  PATH is a folder or a module (TypeScript or JavaScript, nothing is built), or the name of a built-in codec;
  sluice codec COMMAND --help lists the flags of a command, docs/codecs.md goes from a drawing to a sidecar

Flags
${describeFlags(FLAGS)}

Flags of validate
${describeFlags(VALIDATE_FLAGS)}

Signals
  SIGTERM, SIGINT    stop accepting, let requests in flight end (at most --drain-time-s), exit 0
  the same again     exit at once
  SIGUSR1            open log files anew (after rotation)
  SIGHUP             ignored

Environment
  SLUICE_BACKEND     auto (default), native or fallback: which engine moves the bytes

Exit status
  0  stopped as asked; the configuration is valid
  1  the configuration is not valid, or the proxy could not start (the reason is on standard error)

Accepted for compatibility, without effect:
${wrapWords(noEffect.join(' '), HELP_WIDTH - 2)
  .map((line) => `  ${line}`)
  .join('\n')}
`;
}
