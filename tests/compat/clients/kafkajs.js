// KafkaJS against one node: a producer with the codecs it has, and its admin. Its consumer always joins a group, so what it produced
// is read by the caller.
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
    await admin.disconnect();
  });
  process.exit(failed ? 1 : 0);
}
main();
