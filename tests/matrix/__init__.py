"""`make matrix`: mails through mail servers of others, with the options that senders meet; a table, and bars."""
