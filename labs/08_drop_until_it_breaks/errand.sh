#!/bin/sh
# An errand in five steps. It tells each step before it does it, and ends at the first that is not allowed.
set -e
cd /tmp
echo "1 make a parcel"
rm -f parcel
echo "for you" >parcel
echo "2 give it to user 1000"
chown 1000 parcel
echo "3 seal it, for that user's eyes only"
chmod 600 parcel
echo "4 write one more line on it"
echo "handle with care" >>parcel
echo "5 become user 1000 and read it"
setpriv --reuid 1000 --keep-groups cat parcel
