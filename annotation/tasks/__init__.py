"""The 22 tasks: a file for each level-2 group of the taxonomy. Importing the package registers them all."""

from annotation.tasks import anomaly as anomaly
from annotation.tasks import captioning as captioning
from annotation.tasks import change as change
from annotation.tasks import counting as counting
from annotation.tasks import grounding as grounding
from annotation.tasks import land_use as land_use
from annotation.tasks import object_properties as object_properties
from annotation.tasks import planning as planning
from annotation.tasks import presence as presence
from annotation.tasks import reasoning as reasoning
from annotation.tasks import spatial as spatial
