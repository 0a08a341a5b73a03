import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import type { AuditDecision, Finding } from '../audit/audit.ts';
import { ReceivedType } from '../base/codes.ts';
import { formatProblem, KaiError } from '../base/errors.ts';
import { parseRfc3339Ms } from '../base/time.ts';
import type { DecideDocument, DecisionRecord } from './output/decisionsDocument.ts';
import { namesOption, type OutputFormat, timeOption } from './usage.ts';

export interface AuditOptions {
  /** JSON of `kai decide --output json`, instead of running the cycle. */
  readonly decisions?: string;
  /** Configuration file instead of the input's own. */
  readonly config?: string;
  readonly actions?: readonly string[];
  /** Clock of the cycle, ms since the epoch. */
  readonly now?: number;
}

/** What `kai audit --output json` prints. */
export interface AuditDocument {
  /** Time of the cycle, RFC 3339. */
  readonly now: string;
  readonly actions: readonly string[];
  /** Where the decisions come from: "cycle" or the file. */
  readonly source: string;
  readonly decisions: number;
  readonly findings: readonly Finding[];
}

export function registerAudit(program: Command): void {
  program
    .command('audit')
    .description('check the decisions of a scheduling cycle against the rules, independently of the engine')
    .argument('<file...>', 'Kubernetes YAML or JSON, snapshot zip or snapshot.json, directory or pattern')
    .option('--decisions <file>', 'decisions to check, as JSON of "kai decide"; without it the cycle is run')
    .option('--config <file>', 'scheduler configuration, instead of the one in the input')
    .option('--actions <names>', 'actions to run, separated by commas, instead of the configured ones', namesOption)
    .option('--now <time>', 'time of the cycle (RFC 3339), instead of the one in the input or the clock', timeOption)
    .addOption(new Option('--output <format>', 'form of the result').choices(['text', 'json']).default('text'))
    .action(async (files: string[], options: AuditOptions & { readonly output: OutputFormat }) => {
      const document = await audit(files, options, (line) => console.error(line));
      process.stdout.write(options.output === 'json' ? `${JSON.stringify(document)}\n` : await auditText(document));
      const count = document.findings.length;
      if (count > 0) throw new KaiError('AUDIT_FINDINGS', `${count} finding${count === 1 ? '' : 's'}`);
    });
}

/**
 * Reads the cluster, runs its cycle or takes the decisions from a file, and audits them. `note`: one line for the person at
 * the terminal. Throws KaiError for an input, configuration or file of decisions that cannot be used.
 */
export async function audit(files: readonly string[], options: AuditOptions, note: (line: string) => void): Promise<AuditDocument> {
  const [{ openClusterInput }, { createSnapshotWriter }, { auditCycle }, { snapshotOptionsFrom }] = await Promise.all([
    import('./clusterInput.ts'),
    import('../snapshot/writer.ts'),
    import('../audit/audit.ts'),
    import('../config/schedulerParams.ts'),
  ]);
  const recorded = options.decisions === undefined ? null : await readDecisions(options.decisions);
  const actions = options.actions ?? recorded?.actions;
  const cluster = await openClusterInput(files, { config: options.config, actions }, createSnapshotWriter);
  for (const problem of cluster.problems) note(formatProblem(problem));
  for (const line of cluster.notes) note(line);
  const { input, config } = cluster;
  if (input === null)
    throw new KaiError('NO_OBJECTS', `${files.join(', ')}: a saved snapshot holds no objects; the audit needs those that it was made of`);
  const nowMs = options.now ?? recorded?.nowMs ?? cluster.nowMs ?? Date.now();
  const cycle = recorded === null ? await runCycle(cluster, nowMs) : null;
  const decisions = recorded?.decisions ?? cycle!.decisions;
  const findings = auditCycle({
    objects: input.objects,
    config,
    nowMs,
    decisions,
    options: snapshotOptionsFrom(config.params, input.discovery),
    ...(cycle === null ? {} : { report: cycle.report }),
  });
  return {
    now: new Date(nowMs).toISOString(),
    actions: config.actions,
    source: options.decisions ?? 'cycle',
    decisions: decisions.length,
    findings,
  };
}

async function runCycle(cluster: Pick<import('./clusterInput.ts').ClusterInput, 'view' | 'config'>, nowMs: number) {
  const { createCycleRunner } = await import('../runner/cycleRunner.ts');
  const runner = createCycleRunner({ workers: 0 });
  try {
    return await runner.run(cluster.view, cluster.config, nowMs);
  } finally {
    await runner.close();
  }
}

interface RecordedDecisions {
  readonly nowMs: number | undefined;
  readonly actions: readonly string[] | undefined;
  readonly decisions: readonly AuditDecision[];
}

async function readDecisions(file: string): Promise<RecordedDecisions> {
  let document: Partial<DecideDocument>;
  try {
    document = JSON.parse(await readFile(file, 'utf8')) as Partial<DecideDocument>;
  } catch (error) {
    throw new KaiError('UNREADABLE', `${file}: cannot be read as JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const records: unknown = document?.decisions;
  if (!Array.isArray(records))
    throw new KaiError('BAD_DECISIONS', `${file}: it has no list "decisions" as "kai decide --output json" writes it`);
  const nowMs = parseRfc3339Ms(document.now ?? '');
  return {
    nowMs: Number.isNaN(nowMs) ? undefined : nowMs,
    actions: document.config?.actions,
    decisions: records.map((record: unknown, i) => decisionOf(record, `${file}: decisions[${i}]`)),
  };
}

const RECEIVED: Readonly<Record<string, number>> = Object.freeze({
  '': ReceivedType.none,
  Regular: ReceivedType.regular,
  Fraction: ReceivedType.fraction,
  MigInstance: ReceivedType.migInstance,
});

function decisionOf(value: unknown, where: string): AuditDecision {
  const record = (typeof value === 'object' && value !== null ? value : {}) as Partial<DecisionRecord>;
  const { kind, action, pod, podGroup, node, receivedGpu, gpuGroups = [], details } = record;
  const isKind = kind === 'bind' || kind === 'pipeline' || kind === 'evict';
  const texts = [action, pod, podGroup, node];
  if (!isKind || texts.some((text) => typeof text !== 'string') || !Array.isArray(gpuGroups)) {
    throw new KaiError(
      'BAD_DECISIONS',
      `${where}: no decision with kind bind, pipeline or evict, action, pod, podGroup, node and gpuGroups`,
    );
  }
  return {
    kind,
    action: action ?? '',
    pod: pod ?? '',
    podGroup: podGroup ?? '',
    node: node ?? '',
    receivedType: RECEIVED[record.receivedResourceType ?? ''] ?? ReceivedType.none,
    gpuCount: receivedGpu?.count ?? 0,
    gpuPortion: receivedGpu?.portion ?? '0.00',
    gpuGroups,
    ...(details === undefined ? {} : { details }),
  };
}

async function auditText({ now, actions, source, decisions, findings }: AuditDocument): Promise<string> {
  const { table } = await import('./output/table.ts');
  const head = `audit of ${decisions} decisions at ${now} (${source === 'cycle' ? 'cycle run here' : source}), actions ${actions.join(', ') || 'none'}`;
  if (findings.length === 0) return `${head}\n\nnothing is wrong\n`;
  const rows = findings.map(({ rule, object, message }) => [rule, object, message]);
  return `${head}\n\n${table([['RULE', 'OBJECT', 'FINDING'], ...rows], '')}\n`;
}
