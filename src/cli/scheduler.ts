import { networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import { KaiError } from '../base/errors.ts';
import { addSchedulerOptions, IGNORED_FLAGS, type ListenAddress, paramsOf, type SchedulerFlags } from './schedulerOptions.ts';

const HELP = `
Watches the cluster and places the pods that name this scheduler and a pod group: by queue, as gangs, with shared GPUs,
claims and topology. Flags and configuration file are those of the KAI Scheduler. A changed configuration file is taken over
without a restart; one that cannot be used is refused with a message, and the previous one stays.

A cycle runs 50 ms after something changed that can matter, never two at once; while something waits also once per second.
--schedule-period is the least pause between two cycles.

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 cannot go on (the reason is in the log), 2 wrong use.
`;

/** Adds `kai scheduler`. */
export function registerScheduler(program: Command): void {
  addSchedulerOptions(program.command('scheduler').description('schedule the pods of a Kubernetes cluster'))
    .addHelpText('after', HELP)
    .action(runScheduler);
}

async function runScheduler(flags: SchedulerFlags): Promise<void> {
  checkMemoryRatio(process.env.KAI_GOMEMLIMIT_RATIO);
  const { createLog } = await import('../scheduler/logging.ts');
  const { logger, flush } = createLog({ verbosity: flags.v, isJson: flags.logJson, flushMs: flags.logFlushFrequency });
  if (flags.version) logger.info(`kai-scheduler-ts, Node ${process.version}`);
  for (const name of IGNORED_FLAGS) {
    const key = name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    if (Object.hasOwn(flags, key)) logger.warn(`--${name} has no effect here`);
  }
  if (flags.enableProfiler) (await import('node:inspector')).open(flags.profilerPort, '127.0.0.1');
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      logger.info(`${signal}: stopping`);
      stop.abort();
    });
  }
  const [{ runSchedulerRole }, { DEFAULT_BINDER_SETTINGS }, { parseBinderPlugins }] = await Promise.all([
    import('../scheduler/role.ts'),
    import('../binder/binder.ts'),
    import('../binder/pluginConfig.ts'),
  ]);
  const code = await runSchedulerRole({
    credentials: flags.kubeconfig === undefined ? { kind: 'default' } : { kind: 'file', path: flags.kubeconfig },
    configPath: flags.schedulerConf,
    flags: paramsOf(flags),
    workers: flags.workers,
    listen: onInterface(flags.listenAddress),
    pluginPort: flags.pluginServerPort,
    isLeaderElected: flags.leaderElect,
    namespace: flags.namespace,
    metricsPrefix: flags.metricsNamespace === '' ? '' : `${flags.metricsNamespace}_`,
    nodeLabels: {
      resourceReservationAppLabel: flags.resourceReservationAppLabel,
      cpuWorkerNodeLabelKey: flags.cpuWorkerNodeLabelKey,
      gpuWorkerNodeLabelKey: flags.gpuWorkerNodeLabelKey,
      migWorkerNodeLabelKey: flags.migWorkerNodeLabelKey,
    },
    qps: flags.qps === undefined || flags.qps === 0 ? undefined : flags.qps,
    burst: flags.burst,
    binderSettings: {
      ...DEFAULT_BINDER_SETTINGS,
      plugins: parseBinderPlugins(flags.binderPlugins),
      reservation: {
        ...DEFAULT_BINDER_SETTINGS.reservation,
        namespace: flags.resourceReservationNamespace,
        serviceAccount: flags.resourceReservationServiceAccount,
        appLabel: flags.resourceReservationAppLabel,
        image: flags.resourceReservationPodImage,
        allocationTimeoutMs: flags.resourceReservationAllocationTimeout * 1000,
        runtimeClassName: flags.runtimeClassName,
        scaleAdjustNamespace: flags.scaleAdjustNamespace,
        isFakeGpu: flags.fakeGpuNodes,
        resources: flags.resourceReservationPodResources,
        podSecurityContext: flags.resourceReservationPodSecurityContext,
        containerSecurityContext: flags.resourceReservationContainerSecurityContext,
      },
    },
    isBinderSeparate: flags.separateBinder,
    log: logger,
    signal: stop.signal,
  });
  flush();
  // Whatever a library still holds open, the work is done.
  process.exit(code);
}

/** Upstream refuses a ratio that is none, whatever the runtime does with it (spec 08 section 5.1). */
function checkMemoryRatio(text: string | undefined): void {
  if (text === undefined || text === '') return;
  const ratio = Number(text);
  if (ratio > 0 && ratio <= 1) return;
  throw new KaiError(
    'BAD_MEMORY_RATIO',
    `configure Go memory limit: KAI_GOMEMLIMIT_RATIO is ${JSON.stringify(text)}; it must be above 0 and at most 1`,
  );
}

/** All interfaces: of both families where the machine has them. */
function onInterface({ host, port }: ListenAddress): ListenAddress {
  if (host !== '') return { host, port };
  const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ family }) => family === 'IPv6'));
  return { host: hasIpv6 ? '::' : '0.0.0.0', port };
}
