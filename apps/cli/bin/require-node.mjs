// Written in old syntax and without imports, so that an old Node can still read it and say what is wrong.
var version = process.versions.node.split('.').map(Number);
if (version[0] < 20 || (version[0] === 20 && version[1] < 19)) {
  console.error(
    'manyhands needs Node 20.19 or newer and this is ' +
      process.version +
      ': install a newer one from https://nodejs.org and try again.',
  );
  process.exit(2);
}
