// KafkaJS against one node: a producer with the codecs it has (what it produced is read by the caller), its admin, and consumers of a
// group: two share four partitions and read all records, once; a third goes on where they committed.
'use strict';
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs');
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy');

let failed = false;
async function check(name, f) {
  try {
    await f();
    console.log('ok ' + name);
  } catch (e) {
    failed = true;
    console.log('FAILED ' + name + ': ' + e.message);
  }
}
const holds = (what, why) => { if (!what) throw new Error(why); };

async function until(what, f) {
  for (let i = 0; i < 3000; i++) {
    if (f()) return;
    await new Promise((r) => setTimeout(r, 20));
  }
  throw new Error('waited a minute: ' + what());
}

async function join(kafka) {
  const m = { consumer: kafka.consumer({ groupId: 'kafkajs-group', heartbeatInterval: 500, sessionTimeout: 10000 }), owned: 0, read: [] };
  m.consumer.on(m.consumer.events.GROUP_JOIN, (e) => { m.owned = (e.payload.memberAssignment['kafkajs-group'] || []).length; });
  await m.consumer.connect();
  await m.consumer.subscribe({ topics: ['kafkajs-group'], fromBeginning: true });
  await m.consumer.run({ eachMessage: async ({ partition, message }) => { m.read.push(partition + ' ' + message.offset); } });
  m.leave = async () => { await m.consumer.disconnect(); };
  return m;
}

async function group(kafka, admin) {
  await admin.createTopics({ topics: [{ topic: 'kafkajs-group', numPartitions: 4 }] });
  const p = kafka.producer();
  await p.connect();
  const produce = async (count) => {
    const messages = [];
    for (let i = 0; i < 4 * count; i++) messages.push({ value: 'v' + i, partition: i % 4 });
    await p.send({ topic: 'kafkajs-group', acks: -1, messages });
  };
  const all = (first, end) => [0, 1, 2, 3].flatMap((q) => Array.from({ length: end - first }, (_, i) => q + ' ' + (first + i))).sort().join();
  const two = [await join(kafka), await join(kafka)];
  await until(() => 'owned ' + two.map((m) => m.owned), () => two.every((m) => m.owned === 2));
  await produce(300);
  await until(() => 'read ' + two.map((m) => m.read.length), () => two[0].read.length + two[1].read.length >= 1200);
  for (const m of two) await m.leave();
  holds(two[0].read.concat(two[1].read).sort().join() === all(0, 300), 'not every record was read once');
  const third = await join(kafka);
  await produce(50);
  await until(() => 'read ' + third.read.length, () => third.read.length >= 200);
  await third.leave();
  holds(third.read.sort().join() === all(300, 350), 'not from where the group was: ' + third.read.slice(0, 3));
  const told = await admin.fetchOffsets({ groupId: 'kafkajs-group', topics: ['kafkajs-group'] });
  holds(told[0].partitions.every((q) => q.offset === '350'), JSON.stringify(told));
  await admin.setOffsets({ groupId: 'kafkajs-group', topic: 'kafkajs-group', partitions: [{ partition: 1, offset: '7' }] });
  holds((await admin.fetchOffsets({ groupId: 'kafkajs-group', topics: ['kafkajs-group'] }))[0].partitions.some((q) => q.offset === '7'), 'setOffsets');
  holds((await admin.describeGroups(['kafkajs-group'])).groups[0].state === 'Empty', 'describeGroups');
  holds((await admin.listGroups()).groups.some((g) => g.groupId === 'kafkajs-group'), 'listGroups');
  await admin.deleteGroups(['kafkajs-group']);
  holds(!(await admin.listGroups()).groups.some((g) => g.groupId === 'kafkajs-group'), 'deleteGroups');
  await p.disconnect();
}

async function main() {
  const kafka = new Kafka({ brokers: [process.argv[2]], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  for (const codec of ['None', 'GZIP', 'Snappy']) {
    await check('produce, ' + codec.toLowerCase(), async () => {
      const p = kafka.producer({ idempotent: codec !== 'None', allowAutoTopicCreation: true });
      await p.connect();
      const messages = [];
      for (let i = 0; i < 500; i++) messages.push({ key: 'k' + i, value: 'v' + i, partition: 0, headers: { h: 'x' } });
      const told = await p.send({ topic: 'kafkajs-' + codec.toLowerCase(), acks: -1, compression: CompressionTypes[codec], messages });
      holds(told[0].errorCode === 0 && told[0].baseOffset === '0', JSON.stringify(told));
      await p.disconnect();
    });
  }
  await check('admin', async () => {
    await admin.connect();
    holds(await admin.createTopics({ topics: [{ topic: 'kafkajs-adm', numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '60000' }] }] }), 'createTopics');
    holds(!(await admin.createTopics({ topics: [{ topic: 'kafkajs-adm' }] })), 'createTopics again');
    await admin.createPartitions({ topicPartitions: [{ topic: 'kafkajs-adm', count: 3 }] });
    holds((await admin.listTopics()).includes('kafkajs-adm'), 'listTopics');
    holds((await admin.fetchTopicMetadata({ topics: ['kafkajs-adm'] })).topics[0].partitions.length === 3, 'fetchTopicMetadata');
    holds((await admin.fetchTopicOffsets('kafkajs-none'))[0].high === '500', 'fetchTopicOffsets');
    const told = await admin.describeConfigs({ resources: [{ type: 2, name: 'kafkajs-adm', configNames: ['retention.ms'] }] });
    holds(told.resources[0].configEntries[0].configValue === '60000', 'describeConfigs');
    const cluster = await admin.describeCluster();
    holds(cluster.brokers.length === 1 && cluster.controller === cluster.brokers[0].nodeId && cluster.clusterId.length === 22, 'describeCluster');
    await admin.deleteTopicRecords({ topic: 'kafkajs-gzip', partitions: [{ partition: 0, offset: '10' }] });
    holds((await admin.fetchTopicOffsets('kafkajs-gzip'))[0].low === '10', 'deleteTopicRecords');
    await admin.deleteTopics({ topics: ['kafkajs-adm'] });
    holds(!(await admin.listTopics()).includes('kafkajs-adm'), 'deleteTopics');
  });
  await check('group', () => group(kafka, admin));
  await admin.disconnect();
  process.exit(failed ? 1 : 0);
}
main();
