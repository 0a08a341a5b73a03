// Plain JavaScript, so that an old Node can run it: says what is wrong before Node stumbles over the first TypeScript file.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  console.error(`kai needs Node >= 24.12, found ${process.versions.node} at ${process.execPath}; run npm ci without --ignore-scripts`);
  process.exitCode = 1;
}
