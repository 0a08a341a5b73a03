#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { Command, CommanderError } from 'commander';
import { KaiError } from '../base/errors.ts';
import { UsageError } from './usage.ts';

/** Exit codes of every command. */
const ExitCode = { done: 0, failed: 1, wrongUse: 2 } as const;

/** The commands in the order of the help. Each module loads what it needs only when its command runs. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  scheduler: async () => (await import('./scheduler.ts')).registerScheduler,
  simulate: async () => (await import('./simulate.ts')).registerSimulate,
  decide: async () => (await import('./decide.ts')).registerDecide,
  explain: async () => (await import('./explain.ts')).registerExplain,
  audit: async () => (await import('./audit.ts')).registerAudit,
  snapshot: async () => (await import('./snapshot.ts')).registerSnapshot,
  reservation: async () => (await import('./reservation.ts')).registerReservation,
};

/** Runs one command line (without node and script) and gives its exit code. Errors are one line on stderr. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const program = await buildProgram(args);
    if (args.length === 0) {
      program.outputHelp({ error: true });
      return ExitCode.wrongUse;
    }
    await program.parseAsync(args, { from: 'user' });
    return ExitCode.done;
  } catch (error) {
    return exitCodeOf(error);
  }
}

/** Only the module of the named command is loaded; all of them when none is named, for the help. */
async function buildProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('kai')
    .description('GPU-cluster batch scheduler for Kubernetes, compatible with the KAI Scheduler APIs')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`${text.trim().replace(/\s*\n\s*/g, ' ')}\n`) });
  const named = args.find((argument) => !argument.startsWith('-')) ?? '';
  const loaders = Object.hasOwn(COMMANDS, named) ? [COMMANDS[named]!] : Object.values(COMMANDS);
  for (const load of loaders) (await load())(program);
  return program;
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.done : ExitCode.wrongUse;
  if (error instanceof UsageError) {
    console.error(`error: ${error.message}`);
    return ExitCode.wrongUse;
  }
  if (error instanceof KaiError) console.error(`error: ${error.message}`);
  else console.error('error: this should not have happened, please report it:', error);
  return ExitCode.failed;
}

enableCompileCache();
// A reader that goes away (`kai … | head`) ends the program without a word.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(ExitCode.done);
});
process.exitCode = await main(process.argv.slice(2));
