// Command lines of the servers of a control plane, and the identities that they know.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Program } from './program.ts';

/** What may differ between the servers of two tests. */
export interface ServerOptions {
  /** etcd syncs its log to the disk; off, only a crash of the machine loses data. */
  readonly isSynced?: boolean;
  /** Appended to the command lines; the last occurrence of a flag wins. */
  readonly etcdArgs?: readonly string[];
  readonly apiServerArgs?: readonly string[];
  readonly controllerArgs?: readonly string[];
  /** Soft memory limit of each Go program, as GOMEMLIMIT: "2GiB". */
  readonly memoryLimit?: string;
}

/** Where the servers of one control plane live. */
export interface Site {
  /** Folder of the programs. */
  readonly bin: string;
  readonly folder: string;
  readonly options: ServerOptions;
  readonly etcdPort: number;
  readonly apiPort: number;
  readonly controllerPort: number;
}

/** Files that make identities: static tokens, and the key pair that signs service account tokens. */
export function writeIdentities(folder: string, adminToken: string): void {
  writeFileSync(join(folder, 'tokens.csv'), `${adminToken},admin,admin,"system:masters"\n`, { mode: 0o600 });
  const key = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  writeFileSync(join(folder, 'service-account.key'), key.privateKey, { mode: 0o600 });
  writeFileSync(join(folder, 'service-account.pub'), key.publicKey);
}

export function etcdProgram({ bin, folder, options, etcdPort }: Site): Program {
  const url = `http://127.0.0.1:${etcdPort}`;
  const args = [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    '--listen-peer-urls=http://127.0.0.1:0',
    '--log-level=warn',
    '--quota-backend-bytes=4294967296',
    '--snapshot-count=10000',
    ...(options.isSynced === true ? [] : ['--unsafe-no-fsync']),
    ...(options.etcdArgs ?? []),
  ];
  return new Program({ name: 'etcd', command: join(bin, 'etcd'), args, logFile: join(folder, 'etcd.log'), env: memoryOf(options) });
}

export function apiServerProgram({ bin, folder, options, etcdPort, apiPort }: Site): Program {
  const args = [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${apiPort}`,
    `--cert-dir=${join(folder, 'serving')}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    // A loopback address is not allowed in Endpoints.
    '--endpoint-reconciler-type=none',
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--anonymous-auth=false',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(folder, 'service-account.pub')}`,
    `--service-account-signing-key-file=${join(folder, 'service-account.key')}`,
    // It taints every new node "not ready" until a node lifecycle controller comes, and there is none.
    '--disable-admission-plugins=TaintNodesByCondition',
    '--allow-privileged=true',
    '--profiling=false',
    '--event-ttl=1h',
    ...(options.apiServerArgs ?? []),
  ];
  const logFile = join(folder, 'kube-apiserver.log');
  return new Program({ name: 'kube-apiserver', command: join(bin, 'kube-apiserver'), args, logFile, env: memoryOf(options) });
}

export function controllerProgram(
  { bin, folder, options, controllerPort }: Site,
  kubeconfig: string,
  controllers: readonly string[],
): Program {
  const args = [
    `--kubeconfig=${kubeconfig}`,
    `--controllers=${controllers.join(',')}`,
    '--leader-elect=false',
    '--use-service-account-credentials=false',
    `--service-account-private-key-file=${join(folder, 'service-account.key')}`,
    `--root-ca-file=${join(folder, 'serving/apiserver.crt')}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${controllerPort}`,
    `--cert-dir=${join(folder, 'controller-serving')}`,
    // At the default 20 requests per second the Job controller, not the scheduler, would limit a run.
    '--kube-api-qps=500',
    '--kube-api-burst=1000',
    '--concurrent-job-syncs=10',
    '--concurrent-gc-syncs=20',
    '--profiling=false',
    ...(options.controllerArgs ?? []),
  ];
  const logFile = join(folder, 'kube-controller-manager.log');
  const command = join(bin, 'kube-controller-manager');
  return new Program({ name: 'kube-controller-manager', command, args, logFile, env: memoryOf(options) });
}

function memoryOf(options: ServerOptions): Readonly<Record<string, string>> {
  return options.memoryLimit === undefined ? {} : { GOMEMLIMIT: options.memoryLimit };
}
