-- A customer's id in the app may be an address or a number of theirs: each channel is told by itself.
DROP INDEX one_mail_an_occasion;
CREATE UNIQUE INDEX one_mail_an_occasion ON mails (occasion, recipient, channel) WHERE outcome IS DISTINCT FROM 'withdrawn';
